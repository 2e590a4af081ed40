/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_frames.c - any bytes as an Ethernet frame; and what was read, built again, reads the same.
 *
 * The input's first bit says whether the frame's checksum is done, the rest is the frame.
 */
#include <errno.h>
#include <string.h>

#include "net/frames.h"
#include "tests/fuzz/fuzz.h"

/* Builds a frame that says what @frame says; 0 when no builder fits. */
static size_t rebuild(const struct frame *frame, uint8_t *buffer)
{
	switch (frame->kind) {
	case FRAME_ARP_REQUEST:
		return frame_build_arp_request(frame->sender_mac, frame->sender_ip,
					       frame->target_ip, buffer);
	case FRAME_ARP_REPLY:
		return frame_build_arp_reply(frame->sender_mac, frame->sender_ip, frame->target_mac,
					     frame->target_ip, buffer);
	case FRAME_RARP_REQUEST:
		return frame_build_rarp_request(frame->sender_mac, buffer);
	case FRAME_RARP_REPLY:
		return frame_build_rarp_reply(frame->sender_mac, frame->sender_ip,
					      frame->target_mac, frame->target_ip, buffer);
	case FRAME_NS:
		return frame_build_ns(frame->sender_mac, frame->sender_ip, frame->target_ip,
				      buffer);
	case FRAME_NA:
		return frame_build_unsolicited_na(frame->sender_mac, frame->sender_ip,
						  frame->na_router, buffer);
	case FRAME_RA: /* only read */
	case FRAME_OTHER:
	case FRAME_KIND_COUNT:
		break;
	}
	return 0;
}

static void check_claim(const struct frame *frame)
{
	struct mac mac;
	struct ip ip;

	if (!frame_claims(frame, &mac, &ip))
		return;
	FUZZ_CHECK(ip_is_unicast(ip) && !mac_is_group(mac) && !mac_is_zero(mac));
	FUZZ_CHECK(frame->kind != FRAME_RARP_REQUEST && frame->kind != FRAME_RARP_REPLY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buffer[FRAME_BUILD_SIZE];
	struct frame frame, again;
	size_t built;
	int r;

	if (size == 0)
		return 0;
	r = frame_parse(data + 1, size - 1, data[0] & 1, &frame);
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;

	FUZZ_CHECK(frame.kind < FRAME_KIND_COUNT);
	check_claim(&frame);

	built = rebuild(&frame, buffer);
	FUZZ_CHECK((built == 0) == (frame.kind == FRAME_OTHER || frame.kind == FRAME_RA));
	if (built == 0)
		return 0;
	FUZZ_CHECK(built >= FRAME_SIZE_MIN && built <= sizeof(buffer));
	FUZZ_CHECK(frame_parse(buffer, built, true, &again) == 0 && again.kind == frame.kind);
	FUZZ_CHECK(mac_cmp(again.sender_mac, frame.sender_mac) == 0 ||
		   (frame.kind == FRAME_NS && ip_is_none(frame.sender_ip)));
	FUZZ_CHECK(frame.kind != FRAME_NA || again.na_router == frame.na_router);
	FUZZ_CHECK(frame.kind == FRAME_RARP_REQUEST ||
		   ip_cmp(again.sender_ip, frame.sender_ip) == 0);
	return 0;
}
