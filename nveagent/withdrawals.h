/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * withdrawals.h - which addresses this NVE has withdrawn, until the directory shows that it knows.
 * Pure.
 *
 * Nothing answers a WITHDRAW but the UPDATE that takes the mapping away. Said to an NVA that was
 * just then lost, it would leave a mapping here that nobody serves, for good: the session that
 * follows is one of the same incarnation, and takes nothing away by itself.
 *
 * In the session in which it was said, nothing that the NVA says proves that it has heard it: a
 * snapshot, or an UPDATE that shows the mapping gone or elsewhere, may have been made before what
 * the NVE had registered just before. The snapshot of a later session comes after all that the NVA
 * will ever hear of this one.
 */
#ifndef REHOME_NVEAGENT_WITHDRAWALS_H
#define REHOME_NVEAGENT_WITHDRAWALS_H

#include "common/cleanup.h"
#include "nveagent/vn.h"

enum {
	WITHDRAWALS_MAX = 1 << 16, /* the oldest makes room */
};

struct withdrawals;

/* NULL without memory. */
struct withdrawals *withdrawals_new(void);
struct withdrawals *withdrawals_free(struct withdrawals *withdrawals);
DEFINE_CLEANUP(struct withdrawals, withdrawals_free)

/* 0 or -ENOMEM. */
int withdrawals_add(struct withdrawals *withdrawals, uint32_t vni, struct mac mac);
/* A session with the NVA begins. */
void withdrawals_begin_session(struct withdrawals *withdrawals);
/* It is served here again. */
void withdrawals_remove(struct withdrawals *withdrawals, uint32_t vni, struct mac mac);
bool withdrawals_has(const struct withdrawals *withdrawals, uint32_t vni, struct mac mac);

/*
 * @vn holds the whole snapshot of the session with the NVA: what was withdrawn in an earlier one
 * and is not shown at @vtep any more is done with. Calls @again, which may remove that one, for
 * each mapping that still is; it counts as withdrawn in the present session then.
 */
void withdrawals_check(struct withdrawals *withdrawals, const struct vn *vn, struct ip vtep,
		       void (*again)(void *userdata, const struct mapping *mapping),
		       void *userdata);

size_t withdrawals_count(const struct withdrawals *withdrawals);

#endif
