// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fdb_watch.c - since when this host's kernel sends frames for many MACs through a VXLAN device,
 * and where to.
 *
 *   fdb_watch DEVICE COUNT     follows the MACs 52:54:b0:00:00:00 and the COUNT - 1 after it, until
 *                              it is killed
 *
 * A frame takes two entries: the bridge's says that the MAC is behind DEVICE, and DEVICE's own has
 * the VTEP (Documentation/networking/bridge.rst and vxlan.rst of Linux; `master` and `self` of
 * bridge(8)). A line per event, each but the first with the time when the kernel's notice was read
 * (microseconds of CLOCK_MONOTONIC):
 *
 *   listens               notices are heard from now on
 *   TIME all              every MAC has both entries
 *   TIME NUMBER VTEP      that MAC's frames went to another VTEP before
 *
 * It reads everything there is before it prints, and is meant to run with a real-time priority.
 * Notices that were lost end it: what it would say then is not known to be so.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "net/addr.h"

enum {
	READ_SIZE = 1 << 16,
	RECEIVE_BUFFER =
		256 << 20,   /* the notices of some 300,000 entries that come while others run */
	COUNT_MAX = 1 << 24, /* a MAC's number is its last three octets */
};

static const uint8_t prefix[] = { 0x52, 0x54, 0xb0 };

struct place {
	bool behind_device;
	struct ip vtep, told;
};

struct watch {
	int fd;
	int ifindex;
	uint32_t count, there; /* MACs; those with both entries */
	struct place *places;  /* by number; owned */
};

/* An FDB entry as a notice has it. */
struct entry {
	uint32_t number;
	bool gone, of_bridge;
	struct ip vtep;
};

static bool is_there(const struct place *place)
{
	return place->behind_device && !ip_is_none(place->vtep);
}

static void take_entry(struct watch *watch, const struct entry *entry, uint64_t now_us)
{
	struct place *place = &watch->places[entry->number];
	bool before = is_there(place), moved;
	char text[IP_TEXT_SIZE];

	if (entry->of_bridge)
		place->behind_device = !entry->gone;
	else
		place->vtep = entry->gone ? (struct ip){ 0 } : entry->vtep;
	watch->there += (uint32_t) is_there(place) - (uint32_t) before;
	if (!is_there(place))
		return;
	moved = !ip_is_none(place->told) && ip_cmp(place->told, place->vtep) != 0;
	place->told = place->vtep;
	if (moved)
		printf("%llu %u %s\n", (unsigned long long) now_us, entry->number,
		       ip_text(place->vtep, text));
	if (!before && watch->there == watch->count)
		printf("%llu all\n", (unsigned long long) now_us);
}

/* The number of a MAC that is followed. */
static bool read_number(const struct watch *watch, const struct rtattr *attribute,
			uint32_t *ret_number)
{
	const uint8_t *octet = RTA_DATA(attribute);

	if (RTA_PAYLOAD(attribute) != MAC_SIZE || memcmp(octet, prefix, sizeof(prefix)) != 0)
		return false;
	*ret_number = (uint32_t) octet[3] << 16 | (uint32_t) octet[4] << 8 | octet[5];
	return *ret_number < watch->count;
}

/* False for what is not an entry of DEVICE with a MAC that is followed. */
static bool read_entry(const struct watch *watch, const struct nlmsghdr *header,
		       struct entry *ret_entry)
{
	const struct ndmsg *message = NLMSG_DATA(header);
	int left = (int) header->nlmsg_len - (int) NLMSG_LENGTH(sizeof(*message));
	bool found = false;

	*ret_entry = (struct entry){ .gone = header->nlmsg_type == RTM_DELNEIGH };
	if (left < 0 || message->ndm_family != AF_BRIDGE || message->ndm_ifindex != watch->ifindex)
		return false;
	for (const struct rtattr *attribute =
		     (const struct rtattr *) ((const uint8_t *) message +
					      NLMSG_ALIGN(sizeof(*message)));
	     RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == NDA_LLADDR)
			found = read_number(watch, attribute, &ret_entry->number);
		else if (attribute->rta_type == NDA_MASTER)
			ret_entry->of_bridge = true;
		else if (attribute->rta_type == NDA_DST)
			(void) ip_from_bytes(RTA_DATA(attribute), RTA_PAYLOAD(attribute),
					     &ret_entry->vtep);
	}
	return found;
}

static void take_notices(struct watch *watch, const uint8_t *data, size_t size)
{
	uint64_t now_us = clock_monotonic_us();
	int left = (int) size;
	struct entry entry;

	for (const struct nlmsghdr *header = (const struct nlmsghdr *) data; NLMSG_OK(header, left);
	     header = NLMSG_NEXT(header, left))
		if ((header->nlmsg_type == RTM_NEWNEIGH || header->nlmsg_type == RTM_DELNEIGH) &&
		    read_entry(watch, header, &entry))
			take_entry(watch, &entry, now_us);
}

/* Until notices are lost. */
static int run(struct watch *watch)
{
	static uint8_t data[READ_SIZE];
	int flags = 0;

	for (;;) {
		ssize_t n = recv(watch->fd, data, sizeof(data), flags);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0)
			take_notices(watch, data, (size_t) n);
		else
			(void) fflush(stdout);
		flags = n > 0 ? MSG_DONTWAIT : 0;
	}
}

static int listen_to_kernel(struct watch *watch)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1 << (RTNLGRP_NEIGH - 1),
	};
	static const int buffer = RECEIVE_BUFFER;

	watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (watch->fd < 0 ||
	    setsockopt(watch->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
	    bind(watch->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -errno;
	printf("listens\n");
	(void) fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct watch watch = { .fd = -1 };
	int r;

	if (argc == 3) {
		watch.ifindex = (int) if_nametoindex(argv[1]);
		watch.count = (uint32_t) strtoul(argv[2], NULL, 10);
	}
	if (watch.ifindex == 0 || watch.count == 0 || watch.count > COUNT_MAX) {
		(void) fprintf(stderr, "usage: fdb_watch DEVICE COUNT\n");
		return 2;
	}
	watch.places = calloc(watch.count, sizeof(*watch.places));
	r = watch.places ? listen_to_kernel(&watch) : -ENOMEM;
	if (r == 0)
		r = run(&watch);
	(void) fprintf(stderr, "fdb_watch: %s\n", strerror(-r));
	if (watch.fd >= 0)
		close(watch.fd);
	free(watch.places);
	return 1;
}
