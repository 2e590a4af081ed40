/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame_pcap.c - writes a capture of every frame that net/frames.h builds to stdout, in the order
 * of the table below (libpcap's file format, in this machine's byte order, Ethernet).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "net/frames.h"

/* https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html section 4 */
struct pcap_file {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t reserved1, reserved2;
	uint32_t snap_size, link_type;
};

struct pcap_packet {
	uint32_t seconds, microseconds;
	uint32_t captured_size, size;
};

static const struct mac mac_a = { { 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10 } };
static const struct mac mac_b = { { 0x52, 0x54, 0x00, 0xaa, 0x00, 0x11 } };
static const struct ip v4_a = { AF_INET, { 198, 51, 100, 16 } };
static const struct ip v4_b = { AF_INET, { 198, 51, 100, 17 } };
static const struct ip v6_a = { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x10 } };
static const struct ip v6_b = { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x11 } };
static const struct ip none;

static void put(const void *data, size_t size)
{
	if (fwrite(data, size, 1, stdout) != 1)
		exit(EXIT_FAILURE);
}

static void put_frame(const uint8_t *frame, size_t size)
{
	const struct pcap_packet packet = {
		.captured_size = (uint32_t) size,
		.size = (uint32_t) size,
	};

	if (size == 0)
		exit(EXIT_FAILURE);
	put(&packet, sizeof(packet));
	put(frame, size);
}

int main(void)
{
	static const struct pcap_file file = {
		.magic = 0xa1b2c3d4,
		.major = 2,
		.minor = 4,
		.snap_size = 65535,
		.link_type = 1, /* LINKTYPE_ETHERNET */
	};
	uint8_t f[FRAME_BUILD_SIZE];

	put(&file, sizeof(file));
	put_frame(f, frame_build_garp(mac_a, v4_a, f));
	put_frame(f, frame_build_garp_reply(mac_a, v4_a, f));
	put_frame(f, frame_build_arp_request(mac_a, v4_a, v4_b, f));
	put_frame(f, frame_build_arp_request(mac_a, none, v4_b, f));
	put_frame(f, frame_build_arp_poll(mac_a, none, mac_b, v4_b, f));
	put_frame(f, frame_build_arp_reply(mac_b, v4_b, mac_a, v4_a, f));
	put_frame(f, frame_build_rarp_request(mac_a, f));
	put_frame(f, frame_build_rarp_reply(mac_b, v4_b, mac_a, v4_a, f));
	put_frame(f, frame_build_unsolicited_na(mac_a, v6_a, false, f));
	put_frame(f, frame_build_unsolicited_na(mac_a, v6_a, true, f));
	put_frame(f, frame_build_na(mac_a, v6_a, mac_b, v6_b, f));
	put_frame(f, frame_build_ns(mac_a, v6_a, v6_b, f));
	put_frame(f, frame_build_ns(mac_a, none, v6_b, f));
	put_frame(f, frame_build_ns_poll(mac_a, v6_a, mac_b, v6_b, f));
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
