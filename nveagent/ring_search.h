/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring_search.h - which questions to ask QEMU, one after the other, to find where the receive ring
 * of a guest's NIC is (qmp/virtio.h). No I/O.
 *
 *	search = ring_search_new(mac);
 *	do {
 *		ring_search_request(search, &request);
 *		... ask, and get the answer ...
 *	} while ((r = ring_search_answer(search, answer, &place)) == 0);
 *
 * About ten questions; none stops the guest. The first queue's ring is meant.
 */
#ifndef REHOME_NVEAGENT_RING_SEARCH_H
#define REHOME_NVEAGENT_RING_SEARCH_H

#include <json-c/json.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "nveagent/guest_ring.h"

struct ring_search;

/* @mac: the NIC's. NULL when out of memory. */
struct ring_search *ring_search_new(struct mac mac);
struct ring_search *ring_search_free(struct ring_search *search);
DEFINE_CLEANUP(struct ring_search, ring_search_free)

/* The next question, which the caller owns; 0 or -ENOMEM. */
int ring_search_request(const struct ring_search *search, struct json_object **ret_request);

/*
 * Takes the answer to it. Returns 1 when the ring is found, 0 when there is another question, or
 *   -ENODEV	 the guest has no virtio-net NIC of that MAC
 *   -EOPNOTSUPP its rings cannot be read by guest_ring.h, or are not in use yet
 *   -EBADMSG	 the answer is not understood
 */
int ring_search_answer(struct ring_search *search, struct json_object *value,
		       struct guest_ring_place *ret_place);

#endif
