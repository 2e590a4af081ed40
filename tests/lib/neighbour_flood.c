/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour_flood.c - sends ARP and ND out of a device at a given rate, as a guest that floods, and
 * measures what another process (the agent) spends meanwhile.
 *
 * usage: neighbour_flood [--questions] DEVICE MAC RATE SECONDS [PID]
 *
 * MAC "any": each frame comes from another MAC. Frames are half GARPs and half unsolicited NAs from
 * MAC, of CLAIMS different addresses each; with --questions ARP requests and NS, each for another
 * target. SECONDS 0: until the standard input ends. Prints one JSON object: the frames sent, the
 * rate reached, and the share of one CPU that PID used (utime + stime of /proc/PID/stat, proc(5)).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "net/frames.h"

enum {
	CLAIMS = 128,
	FRAMES = 2 * CLAIMS,
	BATCH = 64,
	USAGE = 2,
};

struct flood {
	int fd;
	bool questions, any;
	uint8_t data[FRAMES][FRAME_BUILD_SIZE];
	struct iovec parts[FRAMES];
	struct mmsghdr messages[FRAMES];
};

/* Question @number of @mac, IPv4 and IPv6 in turn; writes it to @frame and returns its size. */
static size_t make_question(struct mac mac, uint64_t number, uint8_t *frame)
{
	struct ip v4 = { AF_INET, { 198, 51, 100, 200 } },
		  v6 = { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 200 } };
	struct ip *own = number % 2 ? &v6 : &v4, target = *own;
	uint8_t *tail = target.octet + ip_size(target) - 3;

	tail[0] = (uint8_t) (number >> 16);
	tail[1] = (uint8_t) (number >> 8);
	tail[2] = (uint8_t) (number | 1); /* no network's address */
	return number % 2 ? frame_build_ns(mac, *own, target, frame)
			  : frame_build_arp_request(mac, *own, target, frame);
}

static void make_questions(struct flood *flood, struct mac mac, uint64_t first)
{
	for (unsigned i = 0; i < BATCH; i++) {
		unsigned at = (unsigned) ((first + i) % FRAMES);

		flood->parts[at] = (struct iovec){ flood->data[at],
						   make_question(mac, first + i, flood->data[at]) };
		flood->messages[at].msg_hdr.msg_iov = &flood->parts[at];
		flood->messages[at].msg_hdr.msg_iovlen = 1;
	}
}

static void make_frames(struct flood *flood, struct mac mac, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		struct ip v4 = { AF_INET, { 198, 51, 100, (uint8_t) (1 + i / 2) } };
		struct ip v6 = { AF_INET6,
				 { 0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t) (1 + i / 2) } };

		flood->parts[i] = (struct iovec){
			.iov_base = flood->data[i],
			.iov_len =
				i % 2 ? frame_build_unsolicited_na(mac, v6, false, flood->data[i])
				      : frame_build_garp(mac, v4, flood->data[i]),
		};
		flood->messages[i].msg_hdr.msg_iov = &flood->parts[i];
		flood->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static int open_device(const char *device)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int) if_nametoindex(device),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || address.sll_ifindex == 0 ||
	    bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
		fprintf(stderr, "%s: %s\n", device, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return fd;
}

static bool is_over(uint64_t now_us, uint64_t end_us)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return end_us ? now_us >= end_us : poll(&input, 1, 0) > 0;
}

/*
 * Sends @rate frames a second until @end_us, or the end of the input when that is 0; returns how
 * many.
 */
static uint64_t send_until(struct flood *flood, struct mac own, uint64_t rate, uint64_t begin_us,
			   uint64_t end_us)
{
	struct mac mac = { { 0x02 } };
	bool any = flood->any;
	const struct timespec pause = { .tv_nsec = 100000 };
	uint64_t sent = 0, now_us;

	while (!is_over(now_us = clock_monotonic_us(), end_us)) {
		uint64_t due = (now_us - begin_us) * rate / 1000000;
		int r;

		if (sent + BATCH > due) {
			(void) nanosleep(&pause, NULL);
			continue;
		}
		if (flood->questions)
			make_questions(flood, own, sent);
		for (unsigned i = 0; any && i < BATCH; i++, mac.octet[5]++) {
			mac.octet[4] = (uint8_t) (mac.octet[4] + (mac.octet[5] == 0));
			mac.octet[3] =
				(uint8_t) (mac.octet[3] + (mac.octet[5] == 0 && mac.octet[4] == 0));
			make_frames(flood, mac, (unsigned) (sent % FRAMES) + i, 1);
		}
		r = sendmmsg(flood->fd, flood->messages + sent % FRAMES, BATCH, 0);
		if (r < 0 && errno != ENOBUFS && errno != EINTR) {
			fprintf(stderr, "send: %s\n", strerror(errno));
			exit(EXIT_FAILURE);
		}
		sent += BATCH; /* what the device had no room for is lost, as on any wire */
	}
	return sent;
}

/* Clock ticks that the process has used; 0 when it cannot be read. */
static uint64_t ticks_of(const char *pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, system = 0;
	_cleanup_close_ int fd = -1;
	ssize_t size;

	(void) snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = read(fd, text, sizeof(text) - 1);
	if (size <= 0 || !strrchr(text, ')'))
		return 0;
	/* Behind the name in parentheses: state is field 3, utime and stime are 14 and 15. */
	if (sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		   &user, &system) != 2)
		return 0;
	return user + system;
}

int main(int argc, char **argv)
{
	static struct flood flood; /* large for a stack */
	uint64_t begin_us, rate, seconds, sent, ticks;
	struct mac mac = { { 0x02 } };
	double elapsed_s;

	if (argc > 1 && strcmp(argv[1], "--questions") == 0) {
		flood.questions = true;
		argc--;
		argv++;
	}
	flood.any = argc > 2 && strcmp(argv[2], "any") == 0;
	if (argc < 5 || argc > 6 || (!flood.any && mac_from_text(argv[2], &mac) < 0)) {
		fputs("usage: neighbour_flood [--questions] DEVICE MAC RATE SECONDS [PID]\n",
		      stderr);
		return USAGE;
	}
	rate = strtoull(argv[3], NULL, 10);
	seconds = strtoull(argv[4], NULL, 10);
	flood.fd = open_device(argv[1]);
	make_frames(&flood, mac, 0, FRAMES);

	ticks = argc > 5 ? ticks_of(argv[5]) : 0;
	begin_us = clock_monotonic_us();
	sent = send_until(&flood, mac, rate, begin_us, seconds ? begin_us + seconds * 1000000 : 0);
	elapsed_s = (double) (clock_monotonic_us() - begin_us) / 1e6;
	ticks = argc > 5 ? ticks_of(argv[5]) - ticks : 0;

	printf("{\"sent\": %" PRIu64 ", \"rate\": %.0f, \"flood_cpu_share\": %.4f}\n", sent,
	       (double) sent / elapsed_s,
	       (double) ticks / (double) sysconf(_SC_CLK_TCK) / elapsed_s);
	return EXIT_SUCCESS;
}
