/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/tail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/closer.h"

struct tail {
	int fd;
	uint8_t *ring;		/* TAIL_BLOCKS * TAIL_BLOCK_SIZE */
	unsigned first;		/* the oldest block that is ours */
	unsigned count;		/* how many are ours, looked at so far */
	uint64_t trimmed;	/* frames in blocks given back */
	uint64_t captured;	/* frames the kernel has taken */
	uint64_t full_until_us; /* CLOCK_REALTIME: by then the ring had been full; 0: never */
	/* CLOCK_REALTIME: from then on frames for others, too; 0: not yet */
	uint64_t widened_us;
	/* of the blocks that are ours, oldest first, once settled */
	const struct tpacket3_hdr **frames;
	size_t frame_count;
};

/* --- opening --- */

static int attach(int fd, const struct sock_filter *code, size_t count)
{
	const struct sock_fprog program = {
		.len = (unsigned short) count,
		.filter = (struct sock_filter *) code,
	};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

/*
 * Outgoing frames whose destination is @mac; Linux's ancillary data gives the direction
 * (filter.h, SKF_AD_PKTTYPE).
 */
static int set_filter(int fd, struct mac mac)
{
	const uint32_t high = (uint32_t) mac.octet[0] << 24 | (uint32_t) mac.octet[1] << 16 |
			      (uint32_t) mac.octet[2] << 8 | mac.octet[3];
	const uint32_t low = (uint32_t) mac.octet[4] << 8 | mac.octet[5];
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return attach(fd, code, ARRAY_SIZE(code));
}

int tail_widen(struct tail *tail)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	int r = tail->widened_us ? 0 : attach(tail->fd, code, ARRAY_SIZE(code));

	if (r == 0 && !tail->widened_us)
		tail->widened_us = clock_realtime_us();
	return r;
}

static int make_ring(struct tail *tail)
{
	const int version = TPACKET_V3, on = 1;
	struct tpacket_req3 request = {
		.tp_block_size = TAIL_BLOCK_SIZE,
		.tp_block_nr = TAIL_BLOCKS,
		.tp_frame_size = TPACKET_ALIGNMENT << 7, /* not used by V3, but it must divide */
		.tp_frame_nr = TAIL_BLOCKS * (TAIL_BLOCK_SIZE / (TPACKET_ALIGNMENT << 7)),
		.tp_retire_blk_tov = TAIL_RETIRE_MS,
	};
	void *ring;

	if (setsockopt(tail->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
	    setsockopt(tail->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    setsockopt(tail->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0)
		return -errno;
	ring = mmap(NULL, (size_t) TAIL_BLOCKS * TAIL_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, tail->fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	tail->ring = ring;
	return 0;
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

int tail_open(uint32_t ifindex, struct mac mac, struct tail **ret_tail)
{
	_cleanup_(tail_freep) struct tail *tail = calloc(1, sizeof(*tail));
	int r;

	if (!tail)
		return -ENOMEM;
	/* Protocol 0: nothing arrives before the filter is there and the socket is bound. */
	tail->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (tail->fd < 0)
		return -errno;
	r = set_filter(tail->fd, mac);
	if (r == 0)
		r = make_ring(tail);
	if (r == 0)
		r = bind_to(tail->fd, ifindex);
	if (r < 0)
		return r;
	*ret_tail = TAKE_PTR(tail);
	return 0;
}

struct tail *tail_free(struct tail *tail)
{
	if (!tail)
		return NULL;
	if (tail->ring)
		(void) munmap(tail->ring, (size_t) TAIL_BLOCKS * TAIL_BLOCK_SIZE);
	closer_close(tail->fd);
	free(tail->frames);
	free(tail);
	return NULL;
}

/* --- blocks --- */

static struct tpacket_block_desc *block_at(const struct tail *tail, unsigned index)
{
	return (struct tpacket_block_desc *) (void *) (tail->ring + (size_t) (index % TAIL_BLOCKS) *
									    TAIL_BLOCK_SIZE);
}

/* Takes note of the blocks the kernel has closed since the last look. */
static void look(struct tail *tail)
{
	while (tail->count < TAIL_BLOCKS) {
		struct tpacket_block_desc *block = block_at(tail, tail->first + tail->count);

		if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
		      TP_STATUS_USER))
			break;
		tail->count++;
	}
}

static void give_back_oldest(struct tail *tail)
{
	struct tpacket_block_desc *block = block_at(tail, tail->first);

	tail->trimmed += block->hdr.bh1.num_pkts;
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	tail->first = (tail->first + 1) % TAIL_BLOCKS;
	tail->count--;
}

static void count_captured(struct tail *tail)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t size = sizeof(stats);

	/* Reading resets the kernel's counters; tp_packets includes the dropped ones. */
	if (getsockopt(tail->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		return;
	tail->captured += stats.tp_packets - stats.tp_drops;
	if (stats.tp_drops > 0)
		tail->full_until_us = clock_realtime_us();
}

static uint64_t visible(const struct tail *tail)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < tail->count; i++)
		n += block_at(tail, tail->first + i)->hdr.bh1.num_pkts;
	return n;
}

static bool is_old(const struct tail *tail, uint64_t now_us)
{
	const struct tpacket_bd_ts *newest = &block_at(tail, tail->first)->hdr.bh1.ts_last_pkt;

	return newest->ts_sec * UINT64_C(1000000) + newest->ts_nsec / 1000 + TAIL_KEEP_US < now_us;
}

void tail_trim(struct tail *tail)
{
	uint64_t now = clock_realtime_us();

	tail->frame_count = 0;
	count_captured(tail);
	look(tail);
	while (tail->count > TAIL_BLOCKS - TAIL_BLOCKS_FREE ||
	       (tail->count > 0 && is_old(tail, now)))
		give_back_oldest(tail);
}

/* Waits until the kernel has closed the block with the last frame. 0 or -ETIMEDOUT. */
static int await_last(struct tail *tail)
{
	uint64_t deadline = clock_monotonic_us() + TAIL_SETTLE_MS * 1000;

	for (;;) {
		struct pollfd wait = { .fd = tail->fd, .events = POLLIN };

		count_captured(tail);
		look(tail);
		if (tail->trimmed + visible(tail) >= tail->captured)
			return 0;
		if (clock_monotonic_us() >= deadline)
			return -ETIMEDOUT;
		(void) poll(&wait, 1, 1);
	}
}

static void list_block(struct tail *tail, const struct tpacket_block_desc *block)
{
	const uint8_t *at = (const uint8_t *) block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *frame = (const struct tpacket3_hdr *) (const void *) at;

		tail->frames[tail->frame_count++] = frame;
		at += frame->tp_next_offset;
	}
}

static int list_frames(struct tail *tail)
{
	const struct tpacket3_hdr **frames =
		reallocarray(tail->frames, visible(tail) + 1, sizeof(const struct tpacket3_hdr *));

	if (!frames)
		return -ENOMEM;
	tail->frames = frames;
	tail->frame_count = 0;
	for (unsigned i = 0; i < tail->count; i++)
		list_block(tail, block_at(tail, tail->first + i));
	return 0;
}

int tail_settle(struct tail *tail, uint64_t since_us)
{
	int waited = await_last(tail);
	int r = list_frames(tail);

	if (r < 0)
		return r;
	return tail->full_until_us > since_us ? -ENOBUFS : waited;
}

bool tail_get(const struct tail *tail, size_t age, struct tail_frame *ret_frame)
{
	const struct tpacket3_hdr *frame;

	if (age >= tail->frame_count)
		return false;
	frame = tail->frames[tail->frame_count - 1 - age];
	if (frame->tp_snaplen < frame->tp_len)
		return false;
	ret_frame->data = (const uint8_t *) frame + frame->tp_mac;
	ret_frame->size = frame->tp_snaplen;
	ret_frame->at_us = frame->tp_sec * UINT64_C(1000000) + frame->tp_nsec / 1000;
	memcpy(&ret_frame->vnet, ret_frame->data - sizeof(ret_frame->vnet),
	       sizeof(ret_frame->vnet));
	return true;
}

/* From when on nothing is missing among @frames; @whole: they are all there ever were. */
static uint64_t complete_since(const struct tail *tail, const struct tail_frames *frames,
			       bool whole)
{
	uint64_t since_us = tail->widened_us;

	if (since_us == 0)
		return 0;
	if (since_us < tail->full_until_us)
		since_us = tail->full_until_us;
	if (!whole && frames->count > 0 && frames->frames[0].at_us > since_us)
		since_us = frames->frames[0].at_us;
	return since_us;
}

int tail_list(const struct tail *tail, struct tail_frames *ret_frames)
{
	size_t max = tail->frame_count < TAIL_FRAMES_MAX ? tail->frame_count : TAIL_FRAMES_MAX;
	struct tail_frames list = { calloc(max + 1, sizeof(*list.frames)), 0, 0 };

	if (!list.frames)
		return -ENOMEM;
	while (list.count < max && tail_get(tail, list.count, &list.frames[max - 1 - list.count]))
		list.count++;
	memmove(list.frames, list.frames + max - list.count, list.count * sizeof(*list.frames));
	list.since_us = complete_since(tail, &list,
				       list.count == tail->frame_count && tail->trimmed == 0);
	*ret_frames = list;
	return 0;
}

void tail_frames_clear(struct tail_frames *frames)
{
	free(frames->frames);
	*frames = (struct tail_frames){ 0 };
}
