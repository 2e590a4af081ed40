/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unreachable.h - ICMP and ICMPv6 "destination unreachable" as the answer to a frame
 * (RFC 792, RFC 1122 section 3.2.2; RFC 4443 section 3.1).
 */
#ifndef REHOME_NET_UNREACHABLE_H
#define REHOME_NET_UNREACHABLE_H

#include <stddef.h>
#include <stdint.h>

enum {
	/* Ethernet header, and what RFC 4443 section 2.4 (c) lets an IPv6 error have. */
	UNREACHABLE_SIZE_MAX = 14 + 1280,
};

/*
 * Writes to @buffer (UNREACHABLE_SIZE_MAX bytes) what tells the sender of @frame (Ethernet without
 * FCS) that its destination is not there: host unreachable for IPv4, address unreachable for IPv6,
 * with as much of the packet as RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4 (c) ask for. An
 * NVE has no address in the VN, so the answer bears the destination's own, as a bridge's firewall
 * does.
 *
 * Returns the answer's size, or 0 for what must not be answered: an ICMP error or redirect, a
 * fragment other than the first, anything to or from a group, broadcast or unspecified address (RFC
 * 1122 section 3.2.2, RFC 4443 section 2.4 (e)); and for what is neither IPv4 nor IPv6, tagged, or
 * cut short.
 */
size_t unreachable_build(const uint8_t *frame, size_t size, uint8_t *buffer);

#endif
