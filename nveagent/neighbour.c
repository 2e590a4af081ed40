/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour.c - a filtered packet socket on one device, read at a bounded rate.
 *
 * The socket takes all protocols (ETH_P_ALL): those that take one come after the bridge in the
 * kernel's receive path (net/core/dev.c, __netif_receive_skb_core) and so see nothing on a bridge
 * port. The kernel's filter keeps it cheap. What the host or another port sends *to* the endpoint
 * leaves by this device: PACKET_IGNORE_OUTGOING (packet(7)) keeps that away before the filter is
 * even asked.
 *
 * The filter is attached before the socket is bound, so that nothing unfiltered is ever queued.
 *
 * Each frame read costs a token; NEIGHBOUR_FRAMES_PER_S of them come back in a second. Without
 * tokens the socket is not watched for PAUSE_US. Meanwhile its buffer is full, and the kernel drops
 * what comes before it copies it (net/packet/af_packet.c, packet_rcv): a flood costs us the tokens,
 * not more, however fast it is.
 */
#include "nveagent/neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/closer.h"

enum {
	FRAME_READ_MAX = 2048,	  /* RFC 4861 sets no limit; a longer one is not read */
	FRAMES_PER_TURN = 64,	  /* of the loop: one guest that floods must not hold it */
	RECEIVE_BUFFER = 1 << 18, /* bytes a flooding guest can have waiting */
	TOKEN_US = 1000000 / NEIGHBOUR_FRAMES_PER_S,
	PAUSE_US = 100000, /* some 50 tokens, so that there are few wake-ups */
	AT_ETHER_TYPE = 12,
	AT_IPV6_NEXT_HEADER = ETH_HLEN + 6, /* RFC 8200 section 3 */
	AT_ICMPV6_TYPE = ETH_HLEN + 40,
};

struct neighbour_watch {
	int fd;
	struct loop_watch *watch;
	struct loop_timer *resume;
	const struct neighbour_events *events;
	void *userdata;
	uint64_t paid_us; /* when the frames read so far are paid off, at one per TOKEN_US */
	uint64_t dropped; /* what the kernel has told so far */
	bool flooded;
	bool *freed; /* becomes true when the callback frees us; NULL outside on_readable() */
};

/* --- the kernel's filter --- */

/*
 * Takes untagged ARP, RARP, RA, NS and NA (RFC 4861 sections 4.2 to 4.4). A tagged frame is of
 * another network than this port's; its tag is not in the bytes, the kernel moves it aside
 * (net/core/skbuff.c, skb_vlan_untag). An ND message behind extension headers is not taken (RFC
 * 6980 forbids the fragment header; the others have no use in it).
 */
static const struct sock_filter filter_code[] = {
	/*  0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			  (uint32_t) (SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
	/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 10),
	/*  2 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_ETHER_TYPE),
	/*  3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 7, 0),
	/*  4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_RARP, 6, 0),
	/*  5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 6),
	/*  6 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_IPV6_NEXT_HEADER),
	/*  7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
	/*  8 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_ICMPV6_TYPE),
	/*  9 */ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ND_ROUTER_ADVERT, 0, 2),
	/* 10 */ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, ND_NEIGHBOR_ADVERT, 1, 0),
	/* 11 */ BPF_STMT(BPF_RET | BPF_K, FRAME_READ_MAX + 1),
	/* 12 */ BPF_STMT(BPF_RET | BPF_K, 0),
};

static int attach_filter(int fd)
{
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(filter_code),
		.filter = (struct sock_filter *) filter_code,
	};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

/* --- the socket --- */

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_to(int fd, uint32_t ifindex)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int) ifindex,
	};

	return bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
}

static int open_port(uint32_t ifindex)
{
	/* Protocol 0: it receives nothing before bind(). */
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	if ((r = attach_filter(fd)) < 0 ||
	    (r = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)) < 0 ||
	    (r = set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1)) < 0 ||
	    (r = set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)) < 0 ||
	    (r = bind_to(fd, ifindex)) < 0)
		return r;
	return TAKE_FD(fd);
}

/*
 * False when the sending stack left the checksum to a device that is not there (virtio, veth):
 * packet(7), PACKET_AUXDATA.
 */
static bool checksum_done(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct tpacket_auxdata aux;

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		return !(aux.tp_status & TP_STATUS_CSUMNOTREADY);
	}
	return true;
}

/* 1 and the frame; 0 when there is none now; -EBADMSG for one that is of no use. */
static int read_frame(int fd, struct frame *ret_frame)
{
	uint8_t data[FRAME_READ_MAX];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec part = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size = recvmsg(fd, &message, 0);

	if (size < 0)
		return errno == EAGAIN ? 0
				       : -EBADMSG; /* ENETDOWN, once, when the device goes down */
	if (message.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	return frame_parse(data, (size_t) size, checksum_done(&message), ret_frame) < 0 ? -EBADMSG
											: 1;
}

/* --- the rate --- */

/* How many frames may be read now. */
static unsigned tokens(struct neighbour_watch *watch, uint64_t now_us)
{
	const uint64_t full_us = (uint64_t) NEIGHBOUR_FRAMES_BURST * TOKEN_US;
	uint64_t owed_us;

	if (watch->paid_us < now_us)
		watch->paid_us = now_us;
	owed_us = watch->paid_us - now_us;
	return owed_us >= full_us ? 0 : (unsigned) ((full_us - owed_us) / TOKEN_US);
}

static void pause_reading(struct neighbour_watch *watch)
{
	if (loop_watch_set(watch->watch, 0) < 0 || loop_timer_start(watch->resume, PAUSE_US) < 0)
		return; /* out of memory: read on */
	if (watch->flooded)
		return;
	watch->flooded = true;
	watch->events->flooded(watch->userdata);
}

static void on_resume(void *userdata)
{
	struct neighbour_watch *watch = userdata;

	if (loop_watch_set(watch->watch, LOOP_READ) < 0)
		(void) loop_timer_start(watch->resume, PAUSE_US);
}

/* 1 when the socket may hold more, 0 when it is empty or @watch is gone. */
static int read_some(struct neighbour_watch *watch, unsigned count, const bool *freed)
{
	int r = 1;

	for (unsigned i = 0; i < count && r != 0; i++) {
		struct frame frame;

		r = read_frame(watch->fd, &frame);
		watch->paid_us += r != 0 ? TOKEN_US : 0;
		if (r > 0 && frame.kind != FRAME_OTHER)
			watch->events->heard(watch->userdata, &frame);
		if (*freed)
			return 0;
	}
	return r != 0;
}

static void on_readable(void *userdata, unsigned ready)
{
	struct neighbour_watch *watch = userdata;
	unsigned may = tokens(watch, clock_monotonic_us());
	bool freed = false;
	int more;

	watch->freed = &freed;
	more = read_some(watch, may < FRAMES_PER_TURN ? may : FRAMES_PER_TURN, &freed);
	if (freed)
		return;
	watch->freed = NULL;
	if (more && may <= FRAMES_PER_TURN)
		pause_reading(watch);
}

int neighbour_watch_new(struct loop *loop, uint32_t ifindex, const struct neighbour_events *events,
			void *userdata, struct neighbour_watch **ret_watch)
{
	_cleanup_(neighbour_watch_freep) struct neighbour_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->events = events;
	watch->userdata = userdata;
	watch->fd = open_port(ifindex);
	if (watch->fd < 0)
		return watch->fd;
	watch->resume = loop_timer_new(loop, on_resume, watch);
	watch->watch = loop_watch_new(loop, "neighbour", watch->fd, LOOP_READ, on_readable, watch);
	if (!watch->watch || !watch->resume)
		return -ENOMEM;
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

struct neighbour_watch *neighbour_watch_free(struct neighbour_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->freed)
		*watch->freed = true;
	loop_watch_free(watch->watch);
	loop_timer_free(watch->resume);
	closer_close(watch->fd);
	free(watch);
	return NULL;
}

/* The kernel's counter starts anew with each look: packet(7), PACKET_STATISTICS. */
uint64_t neighbour_watch_dropped(struct neighbour_watch *watch)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	if (getsockopt(watch->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
		watch->dropped += stats.tp_drops;
	return watch->dropped;
}
