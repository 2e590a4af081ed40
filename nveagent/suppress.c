/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/suppress.h"

#include <string.h>

#include "common/cleanup.h"
#include "net/frames_wire.h"

static bool is_question(const struct frame *frame)
{
	return frame->kind == FRAME_ARP_REQUEST || frame->kind == FRAME_NS;
}

enum suppress_verdict suppress_judge(const struct frame *question, unsigned owners,
				     struct mac owner, bool waited)
{
	bool probe = !ip_is_unicast(question->sender_ip); /* 0.0.0.0 or none */

	if (!is_question(question) || !ip_is_unicast(question->target_ip))
		return SUPPRESS_LEAVE;
	if (ip_cmp(question->sender_ip, question->target_ip) == 0)
		return SUPPRESS_LEAVE; /* an announcement */
	if (owners == 0)
		return waited ? SUPPRESS_LEAVE : SUPPRESS_ASK;
	if (owners > 1 || mac_cmp(owner, question->source) == 0)
		return SUPPRESS_LEAVE;
	return probe || waited ? SUPPRESS_ANSWER : SUPPRESS_LEAVE;
}

static void set_destination(uint8_t *frame, struct mac mac)
{
	memcpy(frame + offsetof(struct ether_wire, destination), mac.octet, sizeof(mac.octet));
}

/* Into an NA of ours, which has no extension headers. */
static void set_router(uint8_t *frame)
{
	struct ipv6_wire ip;
	uint8_t *message = frame + sizeof(struct ether_wire) + sizeof(ip);
	uint8_t *checksum = message + offsetof(struct nd_wire, checksum);

	memcpy(&ip, frame + sizeof(struct ether_wire), sizeof(ip));
	message[offsetof(struct nd_wire, flags)] |= ND_FLAG_ROUTER;
	be16_write(checksum, 0);
	be16_write(checksum, icmpv6_checksum(&ip, message, be16_read(ip.payload_size)));
}

size_t suppress_build_answer(const struct frame *question, struct mac owner, bool router,
			     uint8_t *buffer)
{
	size_t size;

	if (question->kind == FRAME_ARP_REQUEST)
		return frame_build_arp_reply(owner, question->target_ip, question->source,
					     question->sender_ip, buffer);
	size = frame_build_na(owner, question->target_ip, question->source, question->sender_ip,
			      buffer);
	if (size == 0)
		return 0;
	if (router)
		set_router(buffer);
	/* The answer to a probe is for all nodes, but only one asked (RFC 6085 allows it). */
	set_destination(buffer, question->source);
	return size;
}

size_t suppress_build_news(struct mac mac, struct ip ip, bool router, uint8_t *buffer)
{
	return ip.family == AF_INET ? frame_build_garp(mac, ip, buffer)
				    : frame_build_unsolicited_na(mac, ip, router, buffer);
}

size_t suppress_build_greeting(struct mac gateway_mac, struct ip gateway_ip, struct mac guest_mac,
			       struct ip guest_ip, uint8_t *buffer)
{
	size_t size;

	if (gateway_ip.family != guest_ip.family)
		return 0;
	size = gateway_ip.family == AF_INET
		       ? frame_build_arp_request(gateway_mac, gateway_ip, guest_ip, buffer)
		       : frame_build_ns(gateway_mac, gateway_ip, guest_ip, buffer);
	if (size)
		set_destination(buffer, guest_mac);
	return size;
}
