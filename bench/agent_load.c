// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_load.c - what bench/agent holds the agent against.
 *
 *   agent_load netlink BRIDGE VXLAN COUNT 4|6   writes COUNT remote MACs with an IPv4 and an IPv6
 *                                               address each into the kernel: the entries that
 *                                               the agent would make, in the fewest system calls.
 *                                               Prints the seconds.
 *   agent_load paced BRIDGE VXLAN COUNT 4|6     the same with rests, as the agent makes them, so
 *                                               that the kernel's workers of this CPU have their
 *                                               turn (pace.h).
 *   agent_load flood DEVICE MAC PPS SECONDS     sends ARP requests and NS for ever new targets.
 *                                               Prints how many frames were sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "net/frames.h"
#include "nveagent/pace.h"

enum {
	BATCH_SIZE = 1 << 17, /* bytes of a sendmsg(); twice as many gain nothing */
	PACED_BATCH_SIZE = 1 << 13,
	MESSAGE_MAX = 128,
	ANSWER_SIZE = 1 << 16,
	FLOOD_BURST = 64,
};

/* --- netlink --- */

struct batch {
	int fd;
	uint8_t data[BATCH_SIZE];
	size_t size;
	size_t limit; /* of @size */
	size_t count;
	struct nlmsghdr *last;
	uint32_t sequence;
	struct pace *pace; /* may be NULL */
};

static int read_ack(struct batch *batch)
{
	uint8_t answer[ANSWER_SIZE];

	for (;;) {
		ssize_t n = recv(batch->fd, answer, sizeof(answer), 0);
		int left = (int) n;

		if (n < 0)
			return -errno;
		for (struct nlmsghdr *header = (struct nlmsghdr *) answer; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left)) {
			int error = header->nlmsg_type == NLMSG_ERROR
					    ? ((struct nlmsgerr *) NLMSG_DATA(header))->error
					    : 0;

			if (error < 0 || header->nlmsg_seq == batch->sequence)
				return error;
		}
	}
}

/* Only the last message is acknowledged; an error of any is told all the same. */
static int send_batch(struct batch *batch)
{
	batch->last->nlmsg_flags |= NLM_F_ACK;
	return send(batch->fd, batch->data, batch->size, 0) < 0 ? -errno : read_ack(batch);
}

static void rest(struct pace *pace, uint64_t worked_us, size_t count)
{
	uint64_t us = pace_worked(pace, worked_us, count);
	const struct timespec pause = { .tv_nsec = (long) us * 1000 };

	if (us)
		(void) nanosleep(&pause, NULL);
}

static int flush(struct batch *batch)
{
	uint64_t began_us = clock_monotonic_us();
	int r = batch->count ? send_batch(batch) : 0;

	if (batch->pace)
		rest(batch->pace, clock_monotonic_us() - began_us, batch->count);
	batch->size = batch->count = 0;
	return r;
}

static void put(struct nlmsghdr *header, uint16_t type, const void *data, size_t size)
{
	struct rtattr *attribute =
		(struct rtattr *) ((uint8_t *) header + NLMSG_ALIGN(header->nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t) RTA_LENGTH(size);
	memcpy(RTA_DATA(attribute), data, size);
	header->nlmsg_len = (uint32_t) (NLMSG_ALIGN(header->nlmsg_len) + RTA_LENGTH(size));
}

struct entry {
	struct ndmsg header;
	struct mac mac;
	struct ip destination; /* none: no attribute */
};

static int add(struct batch *batch, const struct entry *entry)
{
	struct nlmsghdr *header;
	int r = batch->size + MESSAGE_MAX > batch->limit ? flush(batch) : 0;

	if (r < 0)
		return r;
	header = (struct nlmsghdr *) (batch->data + batch->size);
	memset(header, 0, MESSAGE_MAX);
	header->nlmsg_len = NLMSG_LENGTH(sizeof(entry->header));
	header->nlmsg_type = RTM_NEWNEIGH;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
	header->nlmsg_seq = ++batch->sequence;
	memcpy(NLMSG_DATA(header), &entry->header, sizeof(entry->header));
	put(header, NDA_LLADDR, entry->mac.octet, sizeof(entry->mac.octet));
	if (!ip_is_none(entry->destination))
		put(header, NDA_DST, entry->destination.octet, ip_size(entry->destination));
	batch->last = header;
	batch->count++;
	batch->size += NLMSG_ALIGN(header->nlmsg_len);
	return 0;
}

struct devices {
	int bridge, vxlan;
	uint8_t family; /* of the VTEPs */
};

/* The same addresses as fake_nva's. */
static int add_mapping(struct batch *batch, const struct devices *devices, uint32_t i)
{
	uint32_t n = i + 1;
	struct mac mac = { { 2, 0, 0, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } };
	const struct entry entries[] = {
		{ { .ndm_family = AF_BRIDGE,
		    .ndm_ifindex = devices->vxlan,
		    .ndm_state = NUD_NOARP | NUD_PERMANENT,
		    .ndm_flags = NTF_SELF | NTF_EXT_LEARNED },
		  mac,
		  devices->family == AF_INET
			  ? (struct ip){ AF_INET, { 198, 18, 0, (uint8_t) (i % 16 + 1) } }
			  : (struct ip){ AF_INET6,
					 { 0x20, 0x01, 0x0d, 0xb8, 0,
					   5, [15] = (uint8_t) (i % 16 + 1) } } },
		{ { .ndm_family = AF_BRIDGE,
		    .ndm_ifindex = devices->vxlan,
		    .ndm_state = NUD_REACHABLE,
		    .ndm_flags = NTF_MASTER | NTF_EXT_LEARNED },
		  mac,
		  { 0 } },
		{ { .ndm_family = AF_INET,
		    .ndm_ifindex = devices->bridge,
		    .ndm_state = NUD_PERMANENT,
		    .ndm_flags = NTF_EXT_LEARNED },
		  mac,
		  { AF_INET, { 10, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } } },
		{ { .ndm_family = AF_INET6,
		    .ndm_ifindex = devices->bridge,
		    .ndm_state = NUD_PERMANENT,
		    .ndm_flags = NTF_EXT_LEARNED },
		  mac,
		  { AF_INET6,
		    { 0xfd, [13] = (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n } } },
	};
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(entries) && r == 0; k++)
		r = add(batch, &entries[k]);
	return r;
}

static int program(char **words, size_t limit, struct pace *pace)
{
	static struct batch batch;
	struct devices devices = {
		.bridge = (int) if_nametoindex(words[0]),
		.vxlan = (int) if_nametoindex(words[1]),
		.family = strcmp(words[3], "6") == 0 ? AF_INET6 : AF_INET,
	};
	uint32_t count = (uint32_t) strtoul(words[2], NULL, 10);
	uint64_t began_us;
	int r = 0;

	batch.limit = limit;
	batch.pace = pace;
	batch.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (batch.fd < 0 || !devices.bridge || !devices.vxlan)
		return -ENODEV;
	began_us = clock_monotonic_us();
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = add_mapping(&batch, &devices, i);
	if (r == 0)
		r = flush(&batch);
	printf("%.6f\n", (double) (clock_monotonic_us() - began_us) / 1e6);
	close(batch.fd);
	return r;
}

static int netlink(char **words)
{
	return program(words, BATCH_SIZE, NULL);
}

static int paced(char **words)
{
	struct pace pace = { 0 };

	return program(words, PACED_BATCH_SIZE, &pace);
}

/* --- flood --- */

static size_t build_question(struct mac mac, uint32_t number, uint8_t *buffer)
{
	struct ip here4 = { AF_INET, { 10, 255, 0, 1 } },
		  here6 = { AF_INET6, { 0xfd, [13] = 0xff, 0, 1 } };
	struct ip there4 = {
		AF_INET, { 11, (uint8_t) (number >> 16), (uint8_t) (number >> 8), (uint8_t) number }
	};
	struct ip there6 = { AF_INET6,
			     { 0xfd, 1, [13] = (uint8_t) (number >> 16), (uint8_t) (number >> 8),
			       (uint8_t) number } };

	return number % 2 ? frame_build_ns(mac, here6, there6, buffer)
			  : frame_build_arp_request(mac, here4, there4, buffer);
}

static uint64_t flood_for(int fd, struct mac mac, uint64_t pps, uint64_t us)
{
	uint64_t began_us = clock_monotonic_us(), sent = 0, passed;
	uint8_t frame[FRAME_BUILD_SIZE];

	while ((passed = clock_monotonic_us() - began_us) < us) {
		const struct timespec pause = { .tv_nsec = 50000 };

		if (sent > passed * pps / 1000000) {
			(void) nanosleep(&pause, NULL);
			continue;
		}
		for (unsigned i = 0; i < FLOOD_BURST; i++) {
			size_t size = build_question(mac, (uint32_t) ++sent, frame);

			(void) !write(fd, frame, size);
		}
	}
	return sent;
}

static int flood(char **words)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int) if_nametoindex(words[0]) };
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct mac mac;

	if (mac_from_text(words[1], &mac) < 0)
		return -EINVAL;
	if (fd < 0 || !to.sll_ifindex || bind(fd, (struct sockaddr *) &to, sizeof(to)) < 0)
		return -errno;
	printf("%llu\n", (unsigned long long) flood_for(fd, mac, strtoull(words[2], NULL, 10),
							strtoull(words[3], NULL, 10) * 1000000));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **words);
	} modes[] = { { "netlink", netlink }, { "paced", paced }, { "flood", flood } };

	for (size_t i = 0; i < ARRAY_SIZE(modes) && argc == 6; i++)
		if (strcmp(modes[i].name, argv[1]) == 0) {
			int r = modes[i].run(argv + 2);

			if (r < 0)
				fprintf(stderr, "agent_load %s: %s\n", argv[1], strerror(-r));
			return r < 0;
		}
	fprintf(stderr, "usage: agent_load netlink|paced BRIDGE VXLAN COUNT 4|6 | flood DEVICE MAC "
			"PPS SECONDS\n");
	return 2;
}
