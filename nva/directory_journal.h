/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_journal.h - what outlives a restart; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_JOURNAL_H
#define REHOME_NVA_DIRECTORY_JOURNAL_H

#include "nva/directory_member.h"

struct entry;

void journal_nve(struct directory *directory, const struct nve *nve);
void journal_nve_gone(struct directory *directory, const struct nve *nve);
void journal_member(struct directory *directory, const struct member *member);
void journal_member_gone(struct directory *directory, const struct member *member);
void journal_entry(struct directory *directory, const struct vni *vni, const struct entry *entry);
void journal_tombstone(struct directory *directory, uint32_t vni, struct mac mac,
		       uint64_t generation);
/* Makes @entry, or a new one, what @change says, for @owner. NULL without memory. */
struct entry *entry_place(struct directory *directory, struct member *owner, struct entry *entry,
			  const struct change *change);

#endif
