/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* directory_register.h - who may have a MAC; for directory*.c. */
#ifndef REHOME_NVA_DIRECTORY_REGISTER_H
#define REHOME_NVA_DIRECTORY_REGISTER_H

#include "nva/directory_member.h"

struct entry;

/*
 * The generation @nve gets @mapping's MAC with, without anyone's consent; 0: only its owner can
 * give it up.
 */
uint64_t generation_free(const struct directory *directory, uint64_t now_us, const struct vni *vni,
			 const struct entry *entry, const struct mapping *mapping);
/* Both name a VM, and not the same. */
bool is_another_vm(const struct entry *entry, const struct mapping *mapping);
/*
 * Why @member cannot have @mapping as one more, written to @reterr_text (NVO3_TEXT_MAX + 1 bytes);
 * or false. @entry: the present one, or NULL.
 */
bool is_over_a_limit(const struct directory *directory, const struct member *member,
		     const struct entry *entry, const struct mapping *mapping, char *reterr_text);
/*
 * Makes @member the owner of @mapping's MAC; what is known of the same VM is kept. @entry: the
 * present one, or NULL. Returns NULL without memory.
 */
struct entry *entry_assign(struct directory *directory, struct member *member, struct entry *entry,
			   const struct mapping *mapping, uint64_t generation);
/* Its present owner, started anew, says that it serves it. */
void entry_confirm(struct directory *directory, const struct member *member, struct entry *entry);
void registration_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		       const struct nvo3_message *message);
void batch_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message);
void withdrawal_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		     const struct nvo3_message *message);

#endif
