/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_reflect.c - `probe reflect`: sends frames of one Ethernet type back to who sent them, for
 * guests without any IP address.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "tests/lab/probe.h"
#include "tests/lab/probe_wire.h"

enum {
	TYPE_DEFAULT = 0x88b6,	  /* IEEE 802 local experimental 2 */
	TYPE_MIN = ETHERTYPE_IP,  /* below: lengths, and PUP */
	RECEIVE_BUFFER = 8 << 20, /* bytes that may wait while the guest is busy */
};

struct reflect {
	const char *interface;
	uint16_t type;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct reflect *reflect = state->input;

	switch (key) {
	case 'i':
		reflect->interface = arg;
		return 0;
	case 't':
		reflect->type =
			(uint16_t) probe_parse_number(state, "--type", arg, TYPE_MIN, UINT16_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A packet socket that takes the type's frames from the interface; or a negative errno. */
static int open_socket(const struct reflect *reflect)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(reflect->type),
		.sll_ifindex = (int) if_nametoindex(reflect->interface),
	};
	const int buffer = RECEIVE_BUFFER, ignore = 1;
	_cleanup_close_ int fd = -1;

	if (address.sll_ifindex == 0)
		return -errno;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* 0: nothing before bind() */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore)) < 0 ||
	    bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Returns a negative errno when the socket fails. */
static int reflect_frames(int fd)
{
	uint8_t frame[PROBE_FRAME_MAX];
	struct ether_header *header = (struct ether_header *) frame;
	uint8_t mac[ETH_ALEN];

	for (;;) {
		ssize_t size = recv(fd, frame, sizeof(frame), 0);

		if (size < 0 && errno != EINTR && errno != ENETDOWN)
			return -errno;
		if (size < (ssize_t) sizeof(*header) || (header->ether_dhost[0] & 1))
			continue;
		memcpy(mac, header->ether_dhost, ETH_ALEN);
		memcpy(header->ether_dhost, header->ether_shost, ETH_ALEN);
		memcpy(header->ether_shost, mac, ETH_ALEN);
		if (send(fd, frame, (size_t) size, 0) < 0)
			perror("probe: cannot send");
	}
}

int probe_reflect_main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interface", 'i', "NAME", 0, "where (default eth0)", 0 },
		{ "type", 't', "NUMBER", 0, "the Ethernet type (default 34998, 0x88b6)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Sends back each unicast frame of one Ethernet type, for ever.",
	};
	struct reflect reflect = { .interface = "eth0", .type = TYPE_DEFAULT };
	_cleanup_close_ int fd = -1;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &reflect);
	fd = open_socket(&reflect);
	r = fd < 0 ? fd : reflect_frames(fd);
	fprintf(stderr, "probe: cannot reflect on %s: %s\n", reflect.interface, strerror(-r));
	return EXIT_FAILURE;
}
