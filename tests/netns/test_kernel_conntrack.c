// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_kernel_conntrack.c - a VM's connections at the kernel: read in one namespace, written in
 * another.
 *
 *                                 ┌─ host A (bridge, firewall) ─┐
 *   peer ── near switch (bridge) ─┤                             ├─ far switch (bridge) ── VM
 *                                 └─ host B (bridge, firewall) ─┘
 *
 * "VM" and "peer" are namespaces with one address of each family. Only one of the far switch's
 * cables to the hosts is in its bridge; exchanging them is the VM's move. The firewalls are nft
 * rules for bridged frames (br_netfilter) that let only established connections through, once the
 * test has opened its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "nveagent/kernel_conntrack.h"
#include "tests/netns/netns.h"

enum {
	ZONE = 7,
	OTHER_ZONE = 8,
	FOREIGN = 5000, /* entries of others */
	PORT = 4000,
	SAY_AGAIN_MS = 100,
	SILENCE_MS = 300, /* for what must not come; what comes takes microseconds */
};

static struct kernel_conntrack *conntrack_open(void)
{
	struct kernel_conntrack *conntrack = NULL;

	CU_ASSERT_EQUAL_FATAL(kernel_conntrack_new(&conntrack), 0);
	return conntrack;
}

static struct kernel_conntrack_found read_flows(uint16_t zone, const struct ip *ips, size_t count)
{
	_cleanup_(kernel_conntrack_freep) struct kernel_conntrack *conntrack = conntrack_open();
	struct kernel_conntrack_found found = { 0 };

	CU_ASSERT_EQUAL_FATAL(kernel_conntrack_read(conntrack, zone, ips, count, &found), 0);
	return found;
}

/* How many were made; the others' result must be @others. */
static size_t install_flows(uint16_t zone, const struct flow *flows, size_t count, int others)
{
	_cleanup_(kernel_conntrack_freep) struct kernel_conntrack *conntrack = conntrack_open();
	_cleanup_free_ int *results = calloc(count + 1, sizeof(*results));
	size_t made = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(results);
	CU_ASSERT_EQUAL_FATAL(kernel_conntrack_install(conntrack, zone, flows, count, results), 0);
	for (size_t i = 0; i < count; i++) {
		made += results[i] == 0;
		CU_ASSERT_TRUE(results[i] == 0 || results[i] == others);
	}
	return made;
}

static size_t remove_flows(uint16_t zone, const struct flow *flows, size_t count)
{
	_cleanup_(kernel_conntrack_freep) struct kernel_conntrack *conntrack = conntrack_open();
	_cleanup_free_ int *results = calloc(count + 1, sizeof(*results));
	size_t removed = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(results);
	CU_ASSERT_EQUAL_FATAL(kernel_conntrack_remove(conntrack, zone, flows, count, results), 0);
	for (size_t i = 0; i < count; i++)
		removed += results[i] == 0;
	return removed;
}

/* --- entries of every kind --- */

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP,	IPPROTO_UDPLITE, IPPROTO_SCTP,
				     IPPROTO_GRE, IPPROTO_ICMP, IPPROTO_ESP };

static struct flow flow_of(uint8_t protocol, const char *vm, const char *peer, uint16_t port)
{
	struct flow flow = {
		.tuples = { { ip_of(vm), ip_of(peer), port, 80 },
			    { ip_of(peer), ip_of(vm), 80, port } },
		.protocol = protocol,
		.zones = 3,
		.status = FLOW_SEEN_REPLY | FLOW_ASSURED,
		.timeout_s = 1000,
		.mark = 42,
	};

	if (protocol == IPPROTO_TCP) {
		flow.tcp.state = 3;
		memset(flow.tcp.flags, FLOW_TCP_FLAGS_ALL & ~FLOW_TCP_CLOSE_INIT,
		       sizeof(flow.tcp.flags));
		flow.tcp.scale[FLOW_ORIGINAL] = 7;
		flow.tcp.scale[FLOW_REPLY] = 14;
	} else if (protocol == IPPROTO_SCTP) {
		flow.sctp.state = 3;
		flow.sctp.tags[FLOW_ORIGINAL] = 0xdeadbeef;
		flow.sctp.tags[FLOW_REPLY] = 0xcafe;
	} else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		uint16_t request = protocol == IPPROTO_ICMP ? 8 << 8 : 128 << 8;

		flow.tuples[FLOW_ORIGINAL].dst_port = request;
		flow.tuples[FLOW_REPLY].src_port = port;
		flow.tuples[FLOW_REPLY].dst_port = request;
	} else if (protocol == IPPROTO_ESP) {
		flow.tuples[FLOW_ORIGINAL].src_port = flow.tuples[FLOW_ORIGINAL].dst_port = 0;
		flow.tuples[FLOW_REPLY].src_port = flow.tuples[FLOW_REPLY].dst_port = 0;
	}
	return flow;
}

static size_t flows_of_all_kinds(struct flow *flows)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		uint8_t protocol = protocols[i];

		flows[n++] = flow_of(protocol, "10.0.0.16", "10.0.0.1", (uint16_t) (1000 + i));
		flows[n++] = flow_of(protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : protocol,
				     "fd00::10", "fd00::1", (uint16_t) (1000 + i));
	}
	return n;
}

static const struct flow *find(const struct kernel_conntrack_found *found,
			       const struct flow *wanted)
{
	for (size_t i = 0; i < found->count; i++)
		if (found->flows[i].protocol == wanted->protocol &&
		    ip_cmp(found->flows[i].tuples[0].src, wanted->tuples[0].src) == 0 &&
		    found->flows[i].tuples[0].src_port == wanted->tuples[0].src_port)
			return &found->flows[i];
	return NULL;
}

static void expect_same(const struct flow *found, const struct flow *wanted)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	for (size_t way = 0; way < FLOW_DIRECTIONS; way++) {
		const struct flow_tuple *a = &found->tuples[way], *b = &wanted->tuples[way];

		CU_ASSERT_EQUAL(ip_cmp(a->src, b->src), 0);
		CU_ASSERT_EQUAL(ip_cmp(a->dst, b->dst), 0);
		CU_ASSERT_EQUAL(a->src_port, b->src_port);
		CU_ASSERT_EQUAL(a->dst_port, b->dst_port);
		CU_ASSERT_EQUAL(found->tcp.flags[way], wanted->tcp.flags[way]);
		CU_ASSERT_EQUAL(found->tcp.scale[way], wanted->tcp.scale[way]);
		CU_ASSERT_EQUAL(found->sctp.tags[way], wanted->sctp.tags[way]);
	}
	CU_ASSERT_EQUAL(found->zones, wanted->zones);
	CU_ASSERT_EQUAL(found->status, wanted->status);
	CU_ASSERT_TRUE(found->timeout_s <= wanted->timeout_s &&
		       found->timeout_s + 60 > wanted->timeout_s);
	CU_ASSERT_EQUAL(found->mark, wanted->mark);
	CU_ASSERT_EQUAL(found->tcp.state, wanted->tcp.state);
	CU_ASSERT_EQUAL(found->sctp.state, wanted->sctp.state);
}

static void writes_and_reads_every_kind(void)
{
	const struct ip vm[] = { ip_of("10.0.0.16"), ip_of("fd00::10") };
	struct flow flows[2 * ARRAY_SIZE(protocols)];
	size_t count = flows_of_all_kinds(flows);
	struct kernel_conntrack_found found;

	CU_ASSERT_EQUAL(install_flows(0, flows, count, 0), count);
	found = read_flows(0, vm, 2);
	CU_ASSERT_EQUAL(found.count, count);
	CU_ASSERT_EQUAL(found.over + found.unfit, 0);
	for (size_t i = 0; i < count; i++)
		expect_same(find(&found, &flows[i]), &flows[i]);
	free(found.flows);

	found = read_flows(0, vm, 1);
	CU_ASSERT_EQUAL(found.count, count / 2);
	CU_ASSERT_EQUAL(remove_flows(0, found.flows, found.count), found.count);
	free(found.flows);
	found = read_flows(0, vm, 2);
	CU_ASSERT_EQUAL(found.count, count / 2);
	free(found.flows);
}

static void carries_translation(void)
{
	static const struct {
		const char *client, *service, *vm, *outside;
	} cases[] = {
		{ "10.0.0.1", "192.0.2.80", "10.0.0.16", "192.0.2.1" },
		{ "fd00::1", "2001:db8::80", "fd00::10", "2001:db8::1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ip vm = ip_of(cases[i].vm);
		/*
		 * A service that the VM gives at another address, and a call of the VM's under
		 * another name.
		 */
		struct flow flows[] = { flow_of(IPPROTO_TCP, cases[i].client, cases[i].service,
						4000),
					flow_of(IPPROTO_UDP, cases[i].vm, cases[i].client, 5000) };
		struct kernel_conntrack_found found;

		flows[0].tuples[FLOW_REPLY].src = vm;
		flows[0].tuples[FLOW_REPLY].src_port = 8080;
		flows[1].tuples[FLOW_REPLY].dst = ip_of(cases[i].outside);
		flows[1].tuples[FLOW_REPLY].dst_port = 6000;
		CU_ASSERT_EQUAL(install_flows(0, flows, 2, 0), 2);
		found = read_flows(0, &vm, 1);
		CU_ASSERT_EQUAL(found.count, 2);
		for (size_t n = 0; n < ARRAY_SIZE(flows); n++)
			expect_same(find(&found, &flows[n]), &flows[n]);
		CU_ASSERT_EQUAL(remove_flows(0, found.flows, found.count), 2);
		free(found.flows);
	}
}

/* --- whose an entry is --- */

static void leaves_the_entries_of_others(void)
{
	const struct ip vm[] = { ip_of("10.0.0.16"), ip_of("fd00::10") };
	_cleanup_free_ struct flow *foreign = calloc(FOREIGN, sizeof(*foreign));
	struct flow mine[2 * ARRAY_SIZE(protocols)];
	size_t count = flows_of_all_kinds(mine);
	struct kernel_conntrack_found found;

	CU_ASSERT_PTR_NOT_NULL_FATAL(foreign);
	for (size_t i = 0; i < FOREIGN; i++)
		foreign[i] = flow_of(IPPROTO_UDP, i % 2 ? "10.0.0.17" : "fd00::11",
				     i % 2 ? "10.0.0.1" : "fd00::1", (uint16_t) (i + 1));
	/* To an address of the VM, but served by another behind it. */
	foreign[0] = flow_of(IPPROTO_UDP, "10.0.0.9", "10.0.0.16", 1);
	foreign[0].tuples[FLOW_REPLY].src = ip_of("10.0.0.17");
	CU_ASSERT_EQUAL(install_flows(0, foreign, FOREIGN, 0), FOREIGN);
	CU_ASSERT_EQUAL(install_flows(0, mine, count, 0), count);

	found = read_flows(0, vm, 2);
	CU_ASSERT_EQUAL(found.count, count);
	CU_ASSERT_EQUAL(remove_flows(0, found.flows, found.count), count);
	free(found.flows);
	CU_ASSERT_EQUAL(atoi(output_of("cat /proc/sys/net/netfilter/nf_conntrack_count")), FOREIGN);
}

static void keeps_zones_apart(void)
{
	static const uint8_t directions[] = { 3, 1 << FLOW_ORIGINAL, 1 << FLOW_REPLY };
	const struct ip vm = ip_of("10.0.0.16");
	struct flow flows[ARRAY_SIZE(directions)];
	struct kernel_conntrack_found found;

	for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
		flows[i] = flow_of(IPPROTO_UDP, "10.0.0.16", "10.0.0.1", (uint16_t) (1 + i));
		flows[i].zones = directions[i];
	}
	/* The same addresses in three VNs. */
	CU_ASSERT_EQUAL(install_flows(ZONE, flows, ARRAY_SIZE(flows), 0), ARRAY_SIZE(flows));
	CU_ASSERT_EQUAL(install_flows(OTHER_ZONE, flows, 1, 0), 1);
	CU_ASSERT_EQUAL(install_flows(0, flows, 1, 0), 1);

	found = read_flows(ZONE, &vm, 1);
	CU_ASSERT_EQUAL(found.count, ARRAY_SIZE(flows));
	for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
		expect_same(find(&found, &flows[i]), &flows[i]);
	CU_ASSERT_EQUAL(remove_flows(ZONE, found.flows, found.count), ARRAY_SIZE(flows));
	free(found.flows);
	for (uint16_t zone = 0; zone <= OTHER_ZONE; zone += OTHER_ZONE) {
		found = read_flows(zone, &vm, 1);
		CU_ASSERT_EQUAL(found.count, 1);
		free(found.flows);
	}
}

static void brings_an_entry_up_to_date(void)
{
	const struct ip vm = ip_of("10.0.0.16");
	struct flow flow = flow_of(IPPROTO_TCP, "10.0.0.16", "10.0.0.1", 1), stale = flow;
	struct kernel_conntrack_found found;

	stale.status = 0;
	stale.tcp.state = 1;
	stale.mark = 9; /* this host's own: it stays */
	CU_ASSERT_EQUAL(install_flows(0, &stale, 1, 0), 1);
	CU_ASSERT_EQUAL(install_flows(0, &flow, 1, KERNEL_CONNTRACK_WAS_THERE), 0);
	found = read_flows(0, &vm, 1);
	CU_ASSERT_EQUAL_FATAL(found.count, 1);
	flow.mark = 9;
	expect_same(found.flows, &flow);
	free(found.flows);
}

static void finds_nothing_where_nothing_is_tracked(void)
{
	const struct ip vm[] = { ip_of("10.0.0.16"), ip_of("fd00::10") };
	struct kernel_conntrack_found found;

	CU_ASSERT_FALSE(kernel_conntrack_in_use());
	found = read_flows(0, vm, 2);
	CU_ASSERT_EQUAL(found.count + found.over + found.unfit, 0);
	free(found.flows);
}

/* --- a firewall, and connections through it --- */

struct family {
	int number;
	const char *vm, *peer, *prefix, *keyword;
};

static const struct family families[] = {
	{ AF_INET, "10.0.0.16", "10.0.0.1", "24", "ip" },
	{ AF_INET6, "fd00::10", "fd00::1", "64", "ip6" },
};

enum place { NEAR, FAR, HOST_A, HOST_B, VM, PEER, PLACE_COUNT };

struct scene {
	int places[PLACE_COUNT];
};

static void make_bridge(const struct scene *scene, enum place place)
{
	netns_enter(scene->places[place]);
	CU_ASSERT_TRUE_FATAL(run("ip link add br0 type bridge && ip link set br0 up"));
}

/* A veth pair: @name in the bridge of @from, @far_name in place @to, in no bridge yet. */
static void cable(const struct scene *scene, enum place from, const char *name, enum place to,
		  const char *far_name)
{
	netns_enter(scene->places[from]);
	CU_ASSERT_TRUE_FATAL(run("ip link add %s type veth peer name %s netns /proc/%d/fd/%d", name,
				 far_name, getpid(), scene->places[to]));
	CU_ASSERT_TRUE_FATAL(run("ip link set %s up master br0", name));
}

static void make_station(const struct scene *scene, enum place place)
{
	netns_enter(scene->places[place]);
	CU_ASSERT_TRUE_FATAL(run("ip link set eth0 up"));
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		CU_ASSERT_TRUE_FATAL(run("ip address add %s/%s dev eth0 %s",
					 place == VM ? families[i].vm : families[i].peer,
					 families[i].prefix,
					 families[i].number == AF_INET6 ? "nodad" : ""));
}

/* Whoever is in chain `newcomers` may begin connections. */
static void make_host(const struct scene *scene, enum place place, const char *port)
{
	make_bridge(scene, place);
	cable(scene, NEAR, port, place, "near");
	cable(scene, FAR, port, place, "far");
	netns_enter(scene->places[place]);
	CU_ASSERT_TRUE_FATAL(
		run("ip link set near up master br0 && ip link set far up master br0 && "
		    "sysctl -qw net.bridge.bridge-nf-call-iptables=1 "
		    "net.bridge.bridge-nf-call-ip6tables=1"));
	CU_ASSERT_TRUE_FATAL(
		run("nft 'table inet fw { chain newcomers {}; chain forward { "
		    "type filter hook forward priority 0; policy accept; "
		    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; "
		    "ct state established accept; ct state new jump newcomers; drop; }; }'"));
}

static bool port_forwards(void *userdata)
{
	const char *port = userdata;

	return shows("bridge link show", port, "state forwarding", NULL);
}

static bool port_is_up(void *userdata)
{
	return shows("ip -br link show", userdata, "UP", NULL);
}

/* All bridges forget where it was; else what comes for it would be sent there. */
static void move_vm(const struct scene *scene)
{
	netns_enter(scene->places[FAR]);
	CU_ASSERT_TRUE_FATAL(run("ip link set to-a nomaster && ip link set to-b master br0"));
	CU_ASSERT_TRUE_FATAL(eventually(port_forwards, " to-b"));
	netns_enter(scene->places[NEAR]);
	CU_ASSERT_TRUE_FATAL(run("bridge fdb flush dev br0 brport to-a dynamic"));
	netns_enter(scene->places[HOST_B]);
	CU_ASSERT_TRUE_FATAL(run("bridge fdb flush dev br0 brport near dynamic"));
}

static struct scene scene_new(void)
{
	struct scene scene;

	for (size_t i = 0; i < PLACE_COUNT; i++)
		scene.places[i] = netns_new();
	make_bridge(&scene, NEAR);
	make_bridge(&scene, FAR);
	make_host(&scene, HOST_A, "to-a");
	CU_ASSERT_TRUE_FATAL(run("nft add rule inet fw newcomers accept"));
	make_host(&scene, HOST_B, "to-b");
	netns_enter(scene.places[FAR]);
	CU_ASSERT_TRUE_FATAL(run("ip link set to-b nomaster"));
	CU_ASSERT_TRUE_FATAL(eventually(port_forwards, " to-a"));
	CU_ASSERT_TRUE_FATAL(eventually(port_is_up, "to-b@"));
	cable(&scene, NEAR, "peer", PEER, "eth0");
	cable(&scene, FAR, "vm", VM, "eth0");
	make_station(&scene, VM);
	make_station(&scene, PEER);
	return scene;
}

static void scene_free(struct scene *scene)
{
	for (size_t i = 0; i < PLACE_COUNT; i++)
		close(scene->places[i]);
}

static int socket_in(const struct scene *scene, enum place place, const struct family *family,
		     int type, const char *own, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(ip_of(own), port, &address);
	const struct timeval patience = { .tv_sec = NETNS_DEADLINE_MS / 1000 };
	const int on = 1;
	int fd;

	netns_enter(scene->places[place]);
	fd = socket(family->number, type | SOCK_CLOEXEC, 0);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *) &address, size), 0);
	return fd;
}

static void connect_to(int fd, const char *to, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(ip_of(to), port, &address);

	CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *) &address, size), 0);
}

/*
 * Does what one side sends come out of the other? UDP is said again: bridges that learn anew where
 * the VM is may lose one.
 */
static bool passes(int from, int to, int timeout_ms)
{
	struct pollfd wait = { .fd = to, .events = POLLIN };
	char text[64] = "", sent[] = "hello";

	for (int waited_ms = 0; waited_ms < timeout_ms; waited_ms += SAY_AGAIN_MS) {
		if (send(from, sent, sizeof(sent), MSG_NOSIGNAL) != sizeof(sent))
			return false;
		if (poll(&wait, 1, SAY_AGAIN_MS) == 1)
			return recv(to, text, sizeof(text), 0) >= (ssize_t) sizeof(sent) &&
			       strcmp(text, sent) == 0;
	}
	return false;
}

struct talk {
	int tcp_vm, tcp_peer; /* the VM called */
	int udp_vm, udp_peer; /* the peer called */
};

static struct talk talk_open(const struct scene *scene, const struct family *family)
{
	int listener = socket_in(scene, PEER, family, SOCK_STREAM, family->peer, PORT);
	struct talk talk = { 0 };

	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	talk.tcp_vm = socket_in(scene, VM, family, SOCK_STREAM, family->vm, 0);
	connect_to(talk.tcp_vm, family->peer, PORT);
	talk.tcp_peer = accept(listener, NULL, NULL);
	CU_ASSERT_TRUE_FATAL(talk.tcp_peer >= 0);
	close(listener);

	talk.udp_vm = socket_in(scene, VM, family, SOCK_DGRAM, family->vm, PORT);
	talk.udp_peer = socket_in(scene, PEER, family, SOCK_DGRAM, family->peer, PORT);
	connect_to(talk.udp_peer, family->vm, PORT);
	connect_to(talk.udp_vm, family->peer, PORT);
	CU_ASSERT_TRUE(passes(talk.udp_peer, talk.udp_vm, NETNS_DEADLINE_MS));
	CU_ASSERT_TRUE(passes(talk.udp_vm, talk.udp_peer, NETNS_DEADLINE_MS));
	CU_ASSERT_TRUE(passes(talk.tcp_vm, talk.tcp_peer, NETNS_DEADLINE_MS));
	CU_ASSERT_TRUE(passes(talk.tcp_peer, talk.tcp_vm, NETNS_DEADLINE_MS));
	return talk;
}

static void talk_close(const struct talk *talk)
{
	close(talk->tcp_vm);
	close(talk->tcp_peer);
	close(talk->udp_vm);
	close(talk->udp_peer);
}

/* As in a move: read at host A, packed, unpacked, and written at host B. */
static void transfer(const struct scene *scene, const struct family *family)
{
	const struct ip vm = ip_of(family->vm);
	_cleanup_free_ struct flow *flows = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	struct kernel_conntrack_found found;
	const char *what = NULL;
	size_t size;

	netns_enter(scene->places[HOST_A]);
	CU_ASSERT_TRUE(kernel_conntrack_in_use());
	found = read_flows(0, &vm, 1);
	CU_ASSERT_EQUAL(found.count, 2);
	CU_ASSERT_EQUAL_FATAL(flows_pack(found.flows, found.count, 1 << 16, &data, &size),
			      (int) found.count);
	free(found.flows);
	CU_ASSERT_EQUAL_FATAL(flows_unpack(data, size, &flows, &what), (int) found.count);
	netns_enter(scene->places[HOST_B]);
	CU_ASSERT_EQUAL(install_flows(0, flows, found.count, 0), found.count);
	found = read_flows(0, &vm, 1);
	CU_ASSERT_EQUAL(found.count, 2);
	free(found.flows);
}

static void survives_with_its_entries(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct scene scene = scene_new();
		struct talk talk = talk_open(&scene, &families[i]);

		transfer(&scene, &families[i]);
		move_vm(&scene);
		/* The peer speaks first: nothing but the entry lets it in. */
		CU_ASSERT_TRUE(passes(talk.udp_peer, talk.udp_vm, NETNS_DEADLINE_MS));
		CU_ASSERT_TRUE(passes(talk.udp_vm, talk.udp_peer, NETNS_DEADLINE_MS));
		for (int n = 0; n < 100; n++) {
			CU_ASSERT_TRUE(passes(talk.tcp_peer, talk.tcp_vm, NETNS_DEADLINE_MS));
			CU_ASSERT_TRUE(passes(talk.tcp_vm, talk.tcp_peer, NETNS_DEADLINE_MS));
		}
		talk_close(&talk);
		scene_free(&scene);
	}
}

static void dies_without(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct scene scene = scene_new();
		struct talk talk = talk_open(&scene, &families[i]);

		move_vm(&scene);
		CU_ASSERT_FALSE(passes(talk.udp_peer, talk.udp_vm, SILENCE_MS));
		CU_ASSERT_FALSE(passes(talk.tcp_peer, talk.tcp_vm, SILENCE_MS));
		CU_ASSERT_FALSE(passes(talk.tcp_vm, talk.tcp_peer, SILENCE_MS));
		talk_close(&talk);
		scene_free(&scene);
	}
}

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "veth", "ip link add v0 type veth peer name v1" },
	{ "nftables with conntrack", "nft 'table inet t { chain c { ct state new accept; }; }'" },
	{ "br_netfilter", "test -e /proc/sys/net/bridge/bridge-nf-call-iptables" },
};

NETNS_MAIN("kernel_conntrack", needs, UNIT_TEST(finds_nothing_where_nothing_is_tracked),
	   UNIT_TEST(writes_and_reads_every_kind), UNIT_TEST(carries_translation),
	   UNIT_TEST(leaves_the_entries_of_others), UNIT_TEST(keeps_zones_apart),
	   UNIT_TEST(brings_an_entry_up_to_date), UNIT_TEST(survives_with_its_entries),
	   UNIT_TEST(dies_without))
