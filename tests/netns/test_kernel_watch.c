/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel says of links and bridge entries as they change, and what is there to begin with.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "tests/netns/netns.h"

enum {
	FRAME_SIZE = 64,
	NEIGHBOURS_MAX = 8,
	FIXED_MAX = 512,
	EVENTS_MAX = 50000,
	SMALL_BUFFER = 4096,	 /* that a flood overruns */
	/* and one that it overruns, but that takes several reads to empty */
	MIDDLE_BUFFER = 256 << 10,
	HELD_PROMISED = 40000,	 /* kernel_watch.c: between two reads */
	REPLAY_PORTS = 64,	 /* their dump takes several messages of at most 32 KiB */
	REPLAY_ENTRIES = 2000,
};

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

struct fdb_event {
	uint32_t ifindex;
	struct mac mac;
	bool learned, gone;
};

struct link_event {
	struct kernel_port port;
	bool gone;
};

/* What was told since the last forget(). */
struct scene {
	struct kernel *kernel;
	struct kernel_watch *watch;
	uint32_t bridge, taps[2];
	int tap_fds[2];
	struct fdb_event *fdb;
	struct link_event *links;
	size_t fdb_count, link_count, overruns;
	struct fixed_event {
		struct fdb_entry entry;
		bool gone;
	} fixed[FIXED_MAX];
	size_t fixed_count;
	struct ip neighbours[NEIGHBOURS_MAX];
	size_t neighbour_count;
	bool ask; /* in each callback, about the port, on the socket that is replayed from */
	size_t answers;
};

static void ask_about(struct scene *scene, const char *name, uint32_t ifindex)
{
	struct kernel_port port = { 0 };

	if (!scene->ask)
		return;
	CU_ASSERT_EQUAL_FATAL(kernel_port_by_name(scene->kernel, name, &port), 0);
	CU_ASSERT_STRING_EQUAL(port.name, name);
	CU_ASSERT_EQUAL(port.ifindex, ifindex);
	scene->answers++;
}

static void on_fdb(void *userdata, uint32_t ifindex, struct mac mac, bool learned, bool gone)
{
	struct scene *scene = userdata;
	char name[IFNAMSIZ] = "";

	CU_ASSERT_FATAL(scene->fdb_count < EVENTS_MAX);
	scene->fdb[scene->fdb_count++] = (struct fdb_event) { ifindex, mac, learned, gone };
	if (scene->ask && if_indextoname(ifindex, name))
		ask_about(scene, name, ifindex);
}

static void on_link(void *userdata, const struct kernel_port *port, bool gone)
{
	struct scene *scene = userdata;

	CU_ASSERT_FATAL(scene->link_count < EVENTS_MAX);
	scene->links[scene->link_count++] = (struct link_event) { *port, gone };
	ask_about(scene, port->name, port->ifindex);
}

static void on_overrun(void *userdata)
{
	((struct scene *) userdata)->overruns++;
}

static void on_neighbour_gone(void *userdata, uint32_t ifindex, struct ip ip)
{
	struct scene *scene = userdata;

	CU_ASSERT_EQUAL(ifindex, scene->bridge);
	CU_ASSERT_FATAL(scene->neighbour_count < NEIGHBOURS_MAX);
	scene->neighbours[scene->neighbour_count++] = ip;
}

static void on_fixed(void *userdata, const struct fdb_entry *entry, bool gone)
{
	struct scene *scene = userdata;

	CU_ASSERT_FATAL(scene->fixed_count < FIXED_MAX);
	scene->fixed[scene->fixed_count++] = (struct fixed_event) { *entry, gone };
}

static const struct kernel_watch_events events = {
	.fdb = on_fdb,
	.link = on_link,
	.overrun = on_overrun,
	.neighbour_gone = on_neighbour_gone,
	.fixed = on_fixed,
};

static void forget(struct scene *scene)
{
	scene->fdb_count = scene->link_count = scene->overruns = 0;
}

static struct scene *begin(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene);
	scene->fdb = calloc(EVENTS_MAX, sizeof(*scene->fdb));
	scene->links = calloc(EVENTS_MAX, sizeof(*scene->links));
	CU_ASSERT_FATAL(scene->fdb && scene->links);
	CU_ASSERT_TRUE_FATAL(
		run("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up"));
	CU_ASSERT_EQUAL_FATAL(kernel_new(&scene->kernel), 0);
	CU_ASSERT_EQUAL_FATAL(kernel_watch_new(&events, scene, &scene->watch), 0);
	scene->tap_fds[0] = tap_open("t0", "br0");
	scene->tap_fds[1] = tap_open("t1", "br0");
	scene->taps[0] = ifindex_of("t0");
	scene->taps[1] = ifindex_of("t1");
	scene->bridge = ifindex_of("br0");
	return scene;
}

static void end(struct scene *scene)
{
	kernel_watch_free(scene->watch);
	kernel_free(scene->kernel);
	close(scene->tap_fds[0]);
	close(scene->tap_fds[1]);
	free(scene->fdb);
	free(scene->links);
	free(scene);
}

/* --- frames --- */

static struct mac numbered(uint32_t number)
{
	return (struct mac){ { 0x02, 0, 0x01, (uint8_t) (number >> 16), (uint8_t) (number >> 8),
			       (uint8_t) number } };
}

static void speaks(struct scene *scene, int tap, struct mac mac)
{
	uint8_t frame[FRAME_SIZE];

	(void) numbered_frame(mac_broadcast, mac, 0x88b5, 0, sizeof(frame), frame);
	CU_ASSERT_TRUE_FATAL(tap_write(scene->tap_fds[tap], frame, sizeof(frame)));
}

static void many_speak(struct scene *scene, int tap, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		speaks(scene, tap, numbered(i));
}

/* --- waiting --- */

static size_t times_told(const struct scene *scene, struct fdb_event wanted)
{
	size_t n = 0;

	for (size_t i = 0; i < scene->fdb_count; i++) {
		const struct fdb_event *event = &scene->fdb[i];

		n += event->ifindex == wanted.ifindex && mac_cmp(event->mac, wanted.mac) == 0 &&
		     event->learned == wanted.learned && event->gone == wanted.gone;
	}
	return n;
}

struct fdb_wait {
	struct scene *scene;
	struct fdb_event event;
	int speaker; /* tap that speaks meanwhile, or -1 */
};

static bool fdb_is_told(void *userdata)
{
	const struct fdb_wait *wait = userdata;

	if (wait->speaker >= 0)
		speaks(wait->scene, wait->speaker, wait->event.mac);
	CU_ASSERT_EQUAL(kernel_watch_read(wait->scene->watch), 0);
	return times_told(wait->scene, wait->event) > 0;
}

static bool told(struct scene *scene, struct fdb_event event)
{
	return eventually(fdb_is_told, &(struct fdb_wait) { scene, event, -1 });
}

/* The MAC speaks on the tap until that is told; the port forwards from then on. */
static bool heard(struct scene *scene, int tap, struct mac mac)
{
	return eventually(fdb_is_told,
			  &(struct fdb_wait){ scene, { scene->taps[tap], mac, true, false }, tap });
}

struct link_wait {
	struct scene *scene;
	uint32_t ifindex, master;
	bool gone;
	const struct kernel_port *told;
};

static bool fits(const struct link_event *event, const struct link_wait *wait)
{
	return event->port.ifindex == wait->ifindex && event->gone == wait->gone &&
	       (wait->gone || event->port.master == wait->master);
}

static bool link_is_told(void *userdata)
{
	struct link_wait *wait = userdata;

	CU_ASSERT_EQUAL(kernel_watch_read(wait->scene->watch), 0);
	for (size_t i = 0; i < wait->scene->link_count && !wait->told; i++)
		if (fits(&wait->scene->links[i], wait))
			wait->told = &wait->scene->links[i].port;
	return wait->told;
}

/*
 * The port as told, until forget(); NULL when it is not. @master does not matter when it is gone.
 */
static const struct kernel_port *link_told(struct scene *scene, uint32_t ifindex, uint32_t master,
					   bool gone)
{
	struct link_wait wait = { scene, ifindex, master, gone, NULL };

	(void) eventually(link_is_told, &wait);
	return wait.told;
}

/* --- entries --- */

static void tells_what_is_learned_moves_and_goes(void)
{
	struct scene *scene = begin();

	CU_ASSERT_TRUE(heard(scene, 0, vm));
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[0], vm, true, false }),
			1);

	forget(scene);
	CU_ASSERT_TRUE(heard(scene, 1, vm));
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[0], vm, true, false }),
			0);

	forget(scene);
	CU_ASSERT_TRUE(run("bridge fdb del 52:54:00:aa:00:10 dev t1 master"));
	CU_ASSERT_TRUE(told(scene, (struct fdb_event) { scene->taps[1], vm, true, true }));
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[1], vm, true, false }),
			0);
	CU_ASSERT_EQUAL(scene->overruns, 0);
	end(scene);
}

static void tells_apart_what_is_not_learned(void)
{
	struct scene *scene = begin();

	CU_ASSERT_TRUE(run("bridge fdb add 02:00:00:00:00:01 dev t0 master static && "
			   "bridge fdb add 02:00:00:00:00:02 dev t0 master static sticky && "
			   "bridge fdb add 02:00:00:00:00:03 dev t0 master extern_learn && "
			   "bridge fdb add 02:00:00:00:00:04 dev t0 master dynamic"));
	CU_ASSERT_TRUE(told(scene, (struct fdb_event){ scene->taps[0], mac_of("02:00:00:00:00:04"),
						       true, false }));
	CU_ASSERT_TRUE(told(scene, (struct fdb_event){ scene->taps[0], mac_of("02:00:00:00:00:01"),
						       false, false }));
	CU_ASSERT_TRUE(told(scene, (struct fdb_event){ scene->taps[0], mac_of("02:00:00:00:00:02"),
						       false, false }));
	/* What is ours is no news. */
	CU_ASSERT_EQUAL(times_told(scene,
				   (struct fdb_event){ scene->taps[0], mac_of("02:00:00:00:00:03"),
						       false, false }),
			0);
	for (uint8_t last = 1; last <= 3; last++)
		CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event) {
			scene->taps[0], { { 0x02, 0, 0, 0, 0, last } }, true, false }), 0);
	end(scene);
}

/*
 * How a VM that appears here is noticed: a MAC that was remote, and is ours, is learned on a local
 * port.
 */
static void appears_on(const struct underlay *underlay)
{
	struct scene *scene;
	struct vni_devices devices;
	struct fdb_change change = { FDB_OP_ADD, { .layer = FDB_LAYER_BRIDGE, .mac = vm } };

	close(netns_new());
	scene = begin();
	make_underlay(underlay);
	make_vni(scene->kernel, underlay, &devices);
	CU_ASSERT_TRUE(run("ip link set t0 master br100"));
	CU_ASSERT_PTR_NOT_NULL(link_told(scene, scene->taps[0], devices.bridge_ifindex, false));

	change.entry.ifindex = devices.vxlan_ifindex;
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &devices, &change, 1, NULL), 0);
	CU_ASSERT_TRUE(heard(scene, 0, vm));
	CU_ASSERT_EQUAL(times_told(scene,
				   (struct fdb_event){ devices.vxlan_ifindex, vm, false, false }),
			0);
	CU_ASSERT_EQUAL(
		times_told(scene, (struct fdb_event){ devices.vxlan_ifindex, vm, true, false }), 0);

	/* What the VXLAN device itself holds is no bridge port's. */
	forget(scene);
	change.entry = (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
					   .ifindex = devices.vxlan_ifindex,
					   .mac = other,
					   .vtep = ip_of(underlay->theirs) };
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &devices, &change, 1, NULL), 0);
	CU_ASSERT_TRUE(heard(scene, 0, numbered(1)));
	CU_ASSERT_EQUAL(
		times_told(scene, (struct fdb_event){ devices.vxlan_ifindex, other, false, false }),
		0);
	CU_ASSERT_EQUAL(times_told(scene,
				   (struct fdb_event){ devices.vxlan_ifindex, other, true, false }),
			0);
	end(scene);
}

static void tells_that_a_remote_mac_is_here(void)
{
	appears_on(&underlays[0]);
	appears_on(&underlays[1]);
}

/* --- neighbours --- */

static bool two_went(void *userdata)
{
	struct scene *scene = userdata;

	CU_ASSERT_EQUAL(kernel_watch_read(scene->watch), 0);
	return scene->neighbour_count >= 2;
}

/* A bridge whose address changes loses its neighbours, whoever made them: net/core/neighbour.c. */
static void tells_that_neighbours_of_ours_went(void)
{
	struct scene *scene = begin();

	CU_ASSERT_TRUE(
		run("ip neigh add 198.51.100.7 lladdr 52:54:00:aa:00:10 dev br0 nud permanent "
		    "extern_learn && "
		    "ip neigh add 2001:db8:100::7 lladdr 52:54:00:aa:00:10 dev br0 nud permanent "
		    "extern_learn && "
		    "ip neigh add 198.51.100.8 lladdr 52:54:00:aa:00:11 dev br0 nud permanent"));
	CU_ASSERT_TRUE(run("ip link set br0 address 02:00:00:00:00:99"));
	CU_ASSERT_TRUE(eventually(two_went, scene));
	CU_ASSERT_EQUAL(scene->neighbour_count, 2);
	for (size_t i = 0; i < scene->neighbour_count; i++)
		CU_ASSERT_TRUE(ip_cmp(scene->neighbours[i], ip_of("198.51.100.7")) == 0 ||
			       ip_cmp(scene->neighbours[i], ip_of("2001:db8:100::7")) == 0);
	end(scene);
}

/* --- links --- */

struct fixed_wait {
	struct scene *scene;
	struct fdb_entry entry;
	bool gone;
};

static bool fixed_is_told(void *userdata)
{
	const struct fixed_wait *wait = userdata;
	const struct scene *scene = wait->scene;

	CU_ASSERT_EQUAL(kernel_watch_read(scene->watch), 0);
	for (size_t i = 0; i < scene->fixed_count; i++) {
		const struct fdb_entry *entry = &scene->fixed[i].entry;

		if (entry->layer == wait->entry.layer && entry->ifindex == wait->entry.ifindex &&
		    mac_cmp(entry->mac, wait->entry.mac) == 0 &&
		    ip_cmp(entry->vtep, wait->entry.vtep) == 0 &&
		    scene->fixed[i].gone == wait->gone)
			return true;
	}
	return false;
}

static bool told_of_fixed(struct scene *scene, struct fdb_entry entry, bool gone)
{
	return eventually(fixed_is_told, &(struct fixed_wait) { scene, entry, gone });
}

static bool is_ours_told(const struct scene *scene)
{
	for (size_t i = 0; i < scene->fixed_count; i++)
		if (mac_cmp(scene->fixed[i].entry.mac, mac_of("02:00:00:00:00:99")) == 0)
			return true;
	return false;
}

/*
 * In the bridge, and in the VXLAN device, of both families; neither what ages nor what bears our
 * mark.
 */
static void tells_what_somebody_makes_permanent(void)
{
	struct scene *scene = begin();
	static const char *const vteps[] = { "192.0.2.9", "2001:db8::9" };

	CU_ASSERT_TRUE_FATAL(
		run("ip link add vx4 type vxlan id 4 dstport 4789 local 192.0.2.1 nolearning && "
		    "ip link add vx6 type vxlan id 6 dstport 4789 local 2001:db8::1 nolearning && "
		    "bridge fdb add 02:00:00:00:00:99 dev vx4 dst 192.0.2.9 self permanent "
		    "extern_learn && "
		    "bridge fdb add 02:00:00:00:00:99 dev t0 master extern_learn"));
	for (int i = 0; i < 2; i++) {
		const char *device = i ? "vx6" : "vx4";
		const struct fdb_entry at_vtep = { .layer = FDB_LAYER_VXLAN,
						   .ifindex = ifindex_of(device),
						   .mac = vm,
						   .vtep = ip_of(vteps[i]) };
		const struct fdb_entry list = { .layer = FDB_LAYER_VXLAN,
						.ifindex = at_vtep.ifindex,
						.vtep = at_vtep.vtep };
		const struct fdb_entry at_port = { .layer = FDB_LAYER_BRIDGE,
						   .ifindex = scene->taps[i],
						   .mac = vm };

		CU_ASSERT_TRUE(
			run("bridge fdb add 52:54:00:aa:00:10 dev %s dst %s self permanent && "
			    "bridge fdb append 00:00:00:00:00:00 dev %s dst %s && "
			    "bridge fdb add 52:54:00:aa:00:10 dev t%d master static",
			    device, vteps[i], device, vteps[i], i));
		CU_ASSERT_TRUE(told_of_fixed(scene, at_vtep, false));
		CU_ASSERT_TRUE(told_of_fixed(scene, list, false));
		CU_ASSERT_TRUE(told_of_fixed(scene, at_port, false));
		CU_ASSERT_TRUE(run("bridge fdb del 52:54:00:aa:00:10 dev %s && "
				   "bridge fdb del 00:00:00:00:00:00 dev %s dst %s && "
				   "bridge fdb del 52:54:00:aa:00:10 dev t%d master",
				   device, device, vteps[i], i));
		CU_ASSERT_TRUE(told_of_fixed(scene, at_vtep, true));
		CU_ASSERT_TRUE(told_of_fixed(scene, list, true));
		CU_ASSERT_TRUE(told_of_fixed(scene, at_port, true));
	}
	CU_ASSERT_FALSE(is_ours_told(scene));
	end(scene);
}

static void tells_who_joins_and_leaves(void)
{
	struct scene *scene = begin();
	const struct kernel_port *port;
	uint32_t ifindex;

	CU_ASSERT_TRUE(run("ip link add d0 address 02:00:00:00:00:77 type veth peer name e0"));
	ifindex = ifindex_of("d0");
	CU_ASSERT_PTR_NOT_NULL(link_told(scene, ifindex, 0, false));

	forget(scene);
	CU_ASSERT_TRUE(run("ip link set d0 master br0 up"));
	port = link_told(scene, ifindex, scene->bridge, false);
	CU_ASSERT_PTR_NOT_NULL_FATAL(port);
	CU_ASSERT_STRING_EQUAL(port->name, "d0");
	CU_ASSERT_EQUAL(mac_cmp(port->mac, mac_of("02:00:00:00:00:77")), 0);
	CU_ASSERT_FALSE(port->is_vxlan);

	forget(scene);
	CU_ASSERT_TRUE(run("ip link set d0 nomaster"));
	CU_ASSERT_PTR_NOT_NULL(link_told(scene, ifindex, 0, false));

	forget(scene);
	CU_ASSERT_TRUE(run("ip link del d0"));
	CU_ASSERT_PTR_NOT_NULL(link_told(scene, ifindex, 0, true));
	end(scene);
}

/* A tap that nobody holds any more goes with what it had learned. */
static void tells_that_a_tap_is_gone(void)
{
	struct scene *scene = begin();

	CU_ASSERT_TRUE(heard(scene, 1, vm));
	forget(scene);
	close(scene->tap_fds[1]);
	CU_ASSERT_TRUE(told(scene, (struct fdb_event) { scene->taps[1], vm, true, true }));
	CU_ASSERT_PTR_NOT_NULL(link_told(scene, scene->taps[1], 0, true));
	scene->tap_fds[1] = tap_open("t1", NULL);
	end(scene);
}

/* --- too much --- */

static void holds_as_many_as_promised(void)
{
	struct scene *scene = begin();
	size_t learned = 0;

	CU_ASSERT_TRUE(heard(scene, 0, vm));
	forget(scene);
	many_speak(scene, 0, HELD_PROMISED);
	CU_ASSERT_TRUE(told(scene, (struct fdb_event){ scene->taps[0], numbered(HELD_PROMISED - 1),
						       true, false }));
	for (size_t i = 0; i < scene->fdb_count; i++)
		learned += mac_cmp(scene->fdb[i].mac, numbered((uint32_t) learned)) == 0 &&
			   scene->fdb[i].learned;
	CU_ASSERT_EQUAL(learned, HELD_PROMISED);
	CU_ASSERT_EQUAL(scene->overruns, 0);
	end(scene);
}

/* What was lost is in the tables, and the watch goes on. */
static void says_when_something_was_lost(void)
{
	struct scene *scene = begin();
	const int size = SMALL_BUFFER;

	CU_ASSERT_TRUE(heard(scene, 0, vm));
	forget(scene);
	CU_ASSERT_EQUAL_FATAL(setsockopt(kernel_watch_fd(scene->watch), SOL_SOCKET, SO_RCVBUF,
					 &size, sizeof(size)),
			      0);
	many_speak(scene, 0, REPLAY_ENTRIES);
	CU_ASSERT_EQUAL(kernel_watch_read(scene->watch), 0);
	CU_ASSERT_EQUAL(scene->overruns, 1);
	CU_ASSERT_TRUE(scene->fdb_count < REPLAY_ENTRIES);

	forget(scene);
	CU_ASSERT_EQUAL(kernel_watch_replay_port(scene->kernel, scene->taps[0], &events, scene), 0);
	for (uint32_t i = 0; i < REPLAY_ENTRIES; i++)
		CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[0], numbered(i),
								      true, false }),
				1);
	forget(scene);
	CU_ASSERT_TRUE(heard(scene, 1, other));
	CU_ASSERT_EQUAL(scene->overruns, 0);
	end(scene);
}

/* From then on the kernel drops everything, and does not say so again, until all has been read. */
static void says_so_when_nothing_more_is_lost(void)
{
	struct scene *scene = begin();
	struct pollfd waiting = { .fd = kernel_watch_fd(scene->watch), .events = POLLIN };
	const int size = MIDDLE_BUFFER;

	CU_ASSERT_TRUE(heard(scene, 0, vm));
	CU_ASSERT_TRUE(heard(scene, 1, vm));
	forget(scene);
	CU_ASSERT_EQUAL_FATAL(setsockopt(waiting.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)),
			      0);
	many_speak(scene, 0, REPLAY_ENTRIES);
	CU_ASSERT_EQUAL(kernel_watch_read(scene->watch), 0);
	CU_ASSERT_EQUAL(poll(&waiting, 1, 0), 1);
	CU_ASSERT_EQUAL(scene->overruns, 0);

	speaks(scene, 1, other);
	while (poll(&waiting, 1, 0) == 1)
		CU_ASSERT_EQUAL(kernel_watch_read(scene->watch), 0);
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[1], other, true, false }),
			0);
	CU_ASSERT_EQUAL(scene->overruns, 1);
	CU_ASSERT_EQUAL(kernel_watch_replay_port(scene->kernel, scene->taps[1], &events, scene), 0);
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[1], other, true, false }),
			1);
	end(scene);
}

static void says_nothing_when_there_is_nothing(void)
{
	struct scene *scene = begin();
	struct pollfd waiting = { .fd = kernel_watch_fd(scene->watch), .events = POLLIN };

	CU_ASSERT_TRUE(heard(scene, 0, vm));
	CU_ASSERT_EQUAL(poll(&waiting, 1, 0), 0);
	speaks(scene, 0, other);
	CU_ASSERT_EQUAL(poll(&waiting, 1, NETNS_DEADLINE_MS), 1);
	CU_ASSERT_TRUE(told(scene, (struct fdb_event) { scene->taps[0], other, true, false }));
	CU_ASSERT_PTR_NULL(kernel_watch_free(NULL));
	end(scene);
}

/* --- what is there to begin with --- */

static size_t times_linked(const struct scene *scene, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < scene->link_count; i++)
		n += strcmp(scene->links[i].port.name, name) == 0 && !scene->links[i].gone &&
		     scene->links[i].port.master == scene->bridge;
	return n;
}

/*
 * The dumps take several messages each, and every callback asks the kernel something on the socket
 * they came by.
 */
static void replays_while_it_is_asked(void)
{
	struct scene *scene = begin();

	CU_ASSERT_TRUE_FATAL(run("for i in $(seq %d); do echo link add d$i master br0 type veth "
				 "peer name e$i; done | ip -batch -",
				 REPLAY_PORTS));
	CU_ASSERT_TRUE(heard(scene, 0, vm));
	many_speak(scene, 0, REPLAY_ENTRIES);
	CU_ASSERT_TRUE(told(scene, (struct fdb_event){ scene->taps[0], numbered(REPLAY_ENTRIES - 1),
						       true, false }));
	CU_ASSERT_TRUE(run("bridge fdb add 02:00:00:00:00:01 dev t0 master static && "
			   "bridge fdb add 02:00:00:00:00:03 dev t0 master extern_learn"));

	forget(scene);
	scene->ask = true;
	CU_ASSERT_EQUAL(kernel_watch_replay_bridge(scene->kernel, scene->bridge, &events, scene),
			0);
	CU_ASSERT_EQUAL(scene->fdb_count, 0);
	CU_ASSERT_EQUAL(kernel_watch_replay_port(scene->kernel, scene->taps[1], &events, scene), 0);
	CU_ASSERT_EQUAL(scene->fdb_count, 0);
	CU_ASSERT_EQUAL(kernel_watch_replay_port(scene->kernel, scene->taps[0], &events, scene), 0);

	/* and the taps; not the bridge, "lo", nor the far ends */
	CU_ASSERT_EQUAL(scene->link_count, REPLAY_PORTS + 2);
	CU_ASSERT_EQUAL(times_linked(scene, "t0"), 1);
	CU_ASSERT_EQUAL(times_linked(scene, "t1"), 1);
	for (int i = 1; i <= REPLAY_PORTS; i++) {
		char name[IFNAMSIZ];

		snprintf(name, sizeof(name), "d%d", i);
		CU_ASSERT_EQUAL(times_linked(scene, name), 1);
	}
	/* and the VM; neither what is configured nor what is ours */
	CU_ASSERT_EQUAL(scene->fdb_count, REPLAY_ENTRIES + 1);
	CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[0], vm, true, false }),
			1);
	for (uint32_t i = 0; i < REPLAY_ENTRIES; i++)
		CU_ASSERT_EQUAL(times_told(scene, (struct fdb_event){ scene->taps[0], numbered(i),
								      true, false }),
				1);
	CU_ASSERT_EQUAL(scene->answers, scene->link_count + scene->fdb_count);
	end(scene);
}

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "veth", "ip link add u0 type veth peer name u1" },
	{ "tap", "ip tuntap add t0 mode tap" },
};

NETNS_MAIN("kernel_watch", needs,
	UNIT_TEST(tells_what_is_learned_moves_and_goes),
	UNIT_TEST(tells_apart_what_is_not_learned),
	UNIT_TEST(tells_that_a_remote_mac_is_here),
	UNIT_TEST(tells_that_neighbours_of_ours_went),
	UNIT_TEST(tells_what_somebody_makes_permanent),
	UNIT_TEST(tells_who_joins_and_leaves),
	UNIT_TEST(tells_that_a_tap_is_gone),
	UNIT_TEST(holds_as_many_as_promised),
	UNIT_TEST(says_when_something_was_lost),
	UNIT_TEST(says_so_when_nothing_more_is_lost),
	UNIT_TEST(says_nothing_when_there_is_nothing),
	UNIT_TEST(replays_while_it_is_asked))
