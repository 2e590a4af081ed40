/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * suppress.h - what the agent does itself about an ARP request or an NS, and the frames it sends to
 * guests for that. Pure.
 *
 * The kernel answers ordinary questions for what the directory knows (kernel_neigh.c). It leaves
 * two kinds to us: those for what it does not know, which we pass on to the directory, and the
 * probes by which a guest asks whether an address is free (RFC 5227 section 2.1, RFC 4862 section
 * 5.4): these it keeps off the VXLAN port without an answer. A probe is answered when another MAC
 * has the address, and only then (RFC 9161 section 3.3).
 */
#ifndef REHOME_NVEAGENT_SUPPRESS_H
#define REHOME_NVEAGENT_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/frames.h"

enum suppress_verdict {
	SUPPRESS_LEAVE,	 /* answered by the kernel, or nobody's business */
	SUPPRESS_ANSWER, /* by us, now */
	SUPPRESS_ASK,	 /* the directory, then answer */
};

/*
 * @owners: how many MACs of the VN claim the target; @owner: the only one. @waited: the directory
 * has been asked, so the kernel could not answer when the question came.
 */
enum suppress_verdict suppress_judge(const struct frame *question, unsigned owners,
				     struct mac owner, bool waited);

/*
 * The answer to @question that @owner would give, to the asker alone. @router: the NA's Router flag
 * (RFC 4861 section 4.4). All builders write to @buffer (FRAME_BUILD_SIZE) and return the size.
 */
size_t suppress_build_answer(const struct frame *question, struct mac owner, bool router,
			     uint8_t *buffer);

/*
 * To everyone on the local segment: @mac has @ip now. ARP announcement or unsolicited NA.
 */
size_t suppress_build_news(struct mac mac, struct ip ip, bool router, uint8_t *buffer);

/*
 * A question of the gateway at @gateway_ip, which has @gateway_mac here, to the guest at @guest_ip:
 * it makes the guest note where the gateway is, whatever it does with announcements (RFC 826,
 * "Packet Reception"; RFC 4861 section 7.2.3), and leaves alone what it knows of it as a router.
 * Returns 0 when the families differ.
 */
size_t suppress_build_greeting(struct mac gateway_mac, struct ip gateway_ip, struct mac guest_mac,
			       struct ip guest_ip, uint8_t *buffer);

#endif
