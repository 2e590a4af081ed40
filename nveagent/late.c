/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/late.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/clock.h"
#include "common/closer.h"
#include "net/unreachable.h"
#include "nveagent/raw_port.h"

enum {
	FRAME_SIZE_MAX = 1 << 16, /* a bundle without BIG TCP is shorter */
	FRAMES_PER_TURN = 64,
	RATE_WINDOW_US = 1000000,
	FILTER_OF_MAC = 5, /* instructions */
	FILTER_MAX = LATE_MACS_MAX * FILTER_OF_MAC + 1,
	WHOLE_FRAME = 0x40000, /* a filter's verdict: bytes to keep */
	MAC_TAIL_AT = 2,       /* the destination's last four bytes; its first two are at 0 */
};

struct leaver {
	struct mac mac;
	uint64_t until_us;
};

struct late {
	struct loop *loop;
	uint32_t ifindex;
	late_judge judge;
	void *userdata;

	struct leaver leavers[LATE_MACS_MAX]; /* oldest first */
	size_t count;
	struct loop_timer *expiry;

	int fd; /* -1 while nobody is on the list */
	struct loop_watch *watch;
	struct raw_port *port;

	uint64_t window_us; /* when the present second began */
	unsigned in_window;
	struct late_counters counters;
	uint8_t frame[FRAME_SIZE_MAX];
};

/* --- frames --- */

/* At most LATE_RATE in a second. */
static bool may_send(struct late *late)
{
	uint64_t now = clock_monotonic_us();

	if (now - late->window_us >= RATE_WINDOW_US) {
		late->window_us = now;
		late->in_window = 0;
	}
	return late->in_window++ < LATE_RATE;
}

static bool answer(struct late *late, size_t size)
{
	uint8_t buffer[UNREACHABLE_SIZE_MAX];
	size_t built = unreachable_build(late->frame, size, buffer);

	return built && raw_port_send(late->port, NULL, buffer, built) == 0;
}

static void take_frame(struct late *late, const struct virtio_net_hdr *vnet, size_t size)
{
	enum late_verdict verdict = LATE_DROP;
	struct mac mac;

	memcpy(mac.octet, late->frame, MAC_SIZE);
	if (may_send(late))
		verdict = late->judge(late->userdata, mac);

	if (verdict == LATE_FORWARD && raw_port_send(late->port, vnet, late->frame, size) == 0)
		late->counters.forwarded++;
	else if (verdict == LATE_ANSWER && answer(late, size))
		late->counters.answered++;
	else
		late->counters.dropped++;
}

static void on_readable(void *userdata, unsigned ready)
{
	struct late *late = userdata;
	struct virtio_net_hdr vnet;
	struct iovec parts[] = { { &vnet, sizeof(vnet) }, { late->frame, sizeof(late->frame) } };

	(void) ready;
	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t n = readv(late->fd, parts, ARRAY_SIZE(parts));

		if (n < 0)
			return; /* nothing more, or the device is gone */
		if ((size_t) n >= sizeof(vnet) + ETH_HLEN)
			take_frame(late, &vnet, (size_t) n - sizeof(vnet));
	}
}

/* --- the socket --- */

static uint32_t mac_head(struct mac mac)
{
	return (uint32_t) mac.octet[0] << 8 | mac.octet[1];
}

static uint32_t mac_tail(struct mac mac)
{
	return (uint32_t) mac.octet[2] << 24 | (uint32_t) mac.octet[3] << 16 |
	       (uint32_t) mac.octet[4] << 8 | mac.octet[5];
}

/*
 * Keeps the frames whose destination is on the list. Each of them in turn: its tail, its head, or
 * else the next one.
 */
static int set_filter(struct late *late)
{
	struct sock_filter code[FILTER_MAX] = { 0 };
	struct sock_fprog program = { .filter = code };

	for (size_t i = 0; i < late->count; i++) {
		const struct sock_filter one[FILTER_OF_MAC] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, MAC_TAIL_AT),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_tail(late->leavers[i].mac), 0, 3),
			BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_head(late->leavers[i].mac), 0, 1),
			BPF_STMT(BPF_RET | BPF_K, WHOLE_FRAME),
		};

		memcpy(code + program.len, one, sizeof(one));
		program.len = (unsigned short) (program.len + ARRAY_SIZE(one));
	}
	code[program.len++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
	return setsockopt(late->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

/* The filter comes first: what was heard before it would be anybody's. */
static int open_socket(struct late *late)
{
	static const int one = 1, buffer = LATE_BUFFER;
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int) late->ifindex,
	};
	int r;

	late->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (late->fd < 0)
		return -errno;
	r = set_filter(late);
	if (r < 0)
		return r;
	if (setsockopt(late->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(late->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(late->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
	    bind(late->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -errno;
	late->watch =
		loop_watch_new(late->loop, "late frames", late->fd, LOOP_READ, on_readable, late);
	return late->watch ? raw_port_open(late->ifindex, true, &late->port) : -ENOMEM;
}

static void close_socket(struct late *late)
{
	late->watch = loop_watch_free(late->watch);
	late->port = raw_port_free(late->port);
	closer_close(late->fd);
	late->fd = -1;
}

/* Brings the socket in line with the list. */
static int listen_for_list(struct late *late)
{
	int r = 0;

	if (late->count == 0)
		close_socket(late);
	else
		r = late->fd < 0 ? open_socket(late) : set_filter(late);
	return r;
}

/* --- the list --- */

static void drop_leaver(struct late *late, size_t i)
{
	late->count--;
	memmove(late->leavers + i, late->leavers + i + 1,
		(late->count - i) * sizeof(late->leavers[0]));
}

static void set_expiry(struct late *late)
{
	uint64_t now = clock_monotonic_us(), first = UINT64_MAX;

	for (size_t i = 0; i < late->count; i++)
		if (late->leavers[i].until_us < first)
			first = late->leavers[i].until_us;
	if (late->count)
		(void) loop_timer_start(late->expiry, first > now ? first - now : 1);
	else
		loop_timer_stop(late->expiry);
}

/* A list that only shrinks needs no new filter in haste, but gets one: it is to cost nothing. */
static void on_expiry(void *userdata)
{
	struct late *late = userdata;
	uint64_t now = clock_monotonic_us();

	for (size_t i = late->count; i-- > 0;)
		if (late->leavers[i].until_us <= now)
			drop_leaver(late, i);
	(void) listen_for_list(late);
	set_expiry(late);
}

static bool forget(struct late *late, struct mac mac)
{
	for (size_t i = 0; i < late->count; i++) {
		if (mac_cmp(late->leavers[i].mac, mac) == 0) {
			drop_leaver(late, i);
			return true;
		}
	}
	return false;
}

int late_add(struct late *late, struct mac mac, unsigned seconds)
{
	int r;

	(void) forget(late, mac);
	if (late->count == LATE_MACS_MAX)
		drop_leaver(late, 0);
	late->leavers[late->count++] = (struct leaver){
		.mac = mac,
		.until_us = clock_monotonic_us() + seconds * UINT64_C(1000000),
	};
	r = listen_for_list(late);
	if (r < 0) {
		(void) forget(late, mac);
		(void) listen_for_list(late);
	}
	set_expiry(late);
	return r;
}

void late_remove(struct late *late, struct mac mac)
{
	if (!forget(late, mac))
		return;
	(void) listen_for_list(late);
	set_expiry(late);
}

struct late_counters late_read(const struct late *late)
{
	return late->counters;
}

struct late *late_new(struct loop *loop, uint32_t vxlan_ifindex, late_judge judge, void *userdata)
{
	struct late *late = calloc(1, sizeof(*late));

	if (!late)
		return NULL;
	late->loop = loop;
	late->ifindex = vxlan_ifindex;
	late->judge = judge;
	late->userdata = userdata;
	late->fd = -1;
	late->expiry = loop_timer_new(loop, on_expiry, late);
	return late->expiry ? late : late_free(late);
}

struct late *late_free(struct late *late)
{
	if (!late)
		return NULL;
	close_socket(late);
	late->expiry = loop_timer_free(late->expiry);
	free(late);
	return NULL;
}
