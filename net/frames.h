/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames.h - Ethernet frames of ARP, RARP and IPv6 Neighbor Discovery: bytes to values and back.
 *
 * Sources: RFC 826 (ARP), RFC 903 (RARP), RFC 5227 (address conflict detection, announcements),
 * RFC 5944 section 4.6 (gratuitous ARP in both forms), RFC 4861 (Neighbor Discovery), RFC 4443
 * (ICMPv6 checksum), RFC 2464 (IPv6 over Ethernet).
 */
#ifndef REHOME_NET_FRAMES_H
#define REHOME_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

enum {
	FRAME_SIZE_MIN = 60,	/* IEEE 802.3, without FCS; built frames are padded to it */
	FRAME_BUILD_SIZE = 128, /* holds any frame built here */
};

enum frame_kind {
	FRAME_OTHER,
	FRAME_ARP_REQUEST,
	FRAME_ARP_REPLY,
	FRAME_RARP_REQUEST,
	FRAME_RARP_REPLY,
	FRAME_NS,
	FRAME_NA,
	FRAME_RA, /* Router Advertisement: only who sends it is read */
	FRAME_KIND_COUNT,
};
const char *frame_kind_name(enum frame_kind kind);

/* What an address-resolution frame says. */
struct frame {
	enum frame_kind kind;
	struct mac source, destination; /* of the Ethernet header */
	struct mac sender_mac; /* ARP sha; ND source/target link-layer option, zero when absent */
	struct ip sender_ip;   /* ARP spa; NS, RA: IPv6 source, none for :: (DAD); NA: the target */
	struct mac target_mac; /* ARP tha */
	struct ip target_ip;   /* ARP tpa; ND target */
	bool na_solicited, na_override, na_router;
};

/*
 * Reads an Ethernet frame without FCS. Anything that is not ARP, RARP, NS, NA or RA gives 0 and
 * FRAME_OTHER: so do VLAN-tagged frames, other ARP operations, and ND in fragments (RFC 6980:
 * receivers ignore it). NS, NA and RA are found behind extension headers, too.
 *
 * Returns 0, or -EBADMSG for an ARP, RARP, NS, NA or RA that is truncated or breaks its RFC
 * (hardware or protocol type or length, ND hop limit not 255, ICMPv6 checksum when @checksum_done,
 * options of length 0, what else RFC 4861 sections 6.1.2, 7.1.1 and 7.1.2 ask), for a frame shorter
 * than its Ethernet header and for IPv6 cut before it is clear what it carries.
 * @checksum_done: false for a frame whose checksum the sending kernel left to the device (virtio
 * vnet header VIRTIO_NET_HDR_F_NEEDS_CSUM): it is not verified then.
 */
int frame_parse(const uint8_t *data, size_t size, bool checksum_done, struct frame *ret_frame);

/*
 * True when @frame proves that its sender owns an address: *ret_mac and *ret_ip are set.
 * ARP with a sender address that is unicast, NA with a target, NS and RA with a source; without a
 * link-layer option their Ethernet source counts. Never for RARP, ARP probes (spa 0) and DAD, nor
 * for a MAC that is zero or a group. Whether the Ethernet source is that MAC is the caller's to
 * check.
 */
bool frame_claims(const struct frame *frame, struct mac *ret_mac, struct ip *ret_ip);

/*
 * Builders write to @buffer (FRAME_BUILD_SIZE bytes) and return the frame's size; 0 when a family
 * does not fit. "None" does not fit either, where nothing else is said.
 */

/* ARP announcement as a request, tpa = spa, to broadcast (RFC 5227 section 2.3). */
size_t frame_build_garp(struct mac mac, struct ip ip, uint8_t *buffer);
/*
 * The same as a reply, for receivers that do not learn from requests: both hardware addresses are
 * @mac, both protocol addresses @ip, to broadcast (RFC 5944 section 4.6).
 */
size_t frame_build_garp_reply(struct mac mac, struct ip ip, uint8_t *buffer);
/*
 * NA to all-nodes, override set, with the target link-layer option (RFC 4861 section 7.2.6). Hosts
 * drop a router whose NA comes without the router flag (section 7.2.5): @router must be right.
 */
size_t frame_build_unsolicited_na(struct mac mac, struct ip ip, bool router, uint8_t *buffer);
/* To broadcast; a "none" @sender gives an ARP probe (RFC 5227 section 2.1.1). */
size_t frame_build_arp_request(struct mac source, struct ip sender, struct ip target,
			       uint8_t *buffer);
/* The same to @to_mac alone: a unicast poll (RFC 1122 section 2.3.2.1). */
size_t frame_build_arp_poll(struct mac source, struct ip sender, struct mac to_mac,
			    struct ip target, uint8_t *buffer);
/* A "none" @to_ip answers an ARP probe. */
size_t frame_build_arp_reply(struct mac source, struct ip sender, struct mac to_mac,
			     struct ip to_ip, uint8_t *buffer);
/*
 * NS to the solicited-node multicast address of @target (RFC 4861 section 7.2.2); a "none" @sender
 * gives a DAD probe.
 */
size_t frame_build_ns(struct mac source, struct ip sender, struct ip target, uint8_t *buffer);
/* NS to @to_mac and @target alone (RFC 4861 section 7.3.3); a "none" @sender does not fit. */
size_t frame_build_ns_poll(struct mac source, struct ip sender, struct mac to_mac, struct ip target,
			   uint8_t *buffer);
/*
 * Solicited NA, the answer to an NS; a "none" @to_ip answers a DAD probe: then it is unsolicited
 * and goes to all-nodes, and @to_mac is not used (RFC 4861 section 7.2.4).
 */
size_t frame_build_na(struct mac source, struct ip target, struct mac to_mac, struct ip to_ip,
		      uint8_t *buffer);
size_t frame_build_rarp_request(struct mac mac, uint8_t *buffer);
size_t frame_build_rarp_reply(struct mac server_mac, struct ip server_ip, struct mac mac,
			      struct ip ip, uint8_t *buffer);

#endif
