/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change.h - one thing an NVA must still know after a restart, as a value and as bytes. Bytes only:
 * no files, no clock.
 *
 * A change replaces whatever was said before of the same key, so the last one of each key is all
 * there is to know:
 *
 *   the NVA itself        IDENTITY
 *   an NVE's name         NVE       | NVE_GONE
 *   a VNI and a name      MEMBER    | MEMBER_GONE
 *   a VNI and a MAC       MAPPING   | REMOVED (which keeps the generation)
 *
 * The bytes: the kind, then the key, then the rest; integers are big endian. Two changes of one key
 * begin with the same change_key_size() bytes but for the kind.
 */
#ifndef REHOME_NVA_CHANGE_H
#define REHOME_NVA_CHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "nva/wire.h"

/* clang-format off */
/* These numbers are on disk. */
enum change_kind {
	CHANGE_IDENTITY = 1,
	CHANGE_NVE = 2,
	CHANGE_NVE_GONE = 3,
	CHANGE_MEMBER = 4,
	CHANGE_MEMBER_GONE = 5,
	CHANGE_MAPPING = 6,
	CHANGE_REMOVED = 7,
	CHANGE_KIND_COUNT,
};

enum {
	CHANGE_SIZE_MAX = 1024,		/* of the bytes; the longest mapping takes 660 */
};

struct change {
	enum change_kind kind;
	/* IDENTITY: of the NVA; NVE; MAPPING: the owner's when it last said so */
	uint64_t incarnation;
	char name[NVO3_NAME_MAX + 1];	/* of the NVE; MAPPING: of the owner */
	struct ip vtep;			/* NVE */
	enum nvo3_role role;		/* NVE */
	/* MAPPING: all but the VTEP; REMOVED: vni, mac, generation; MEMBER, MEMBER_GONE: vni */
	struct mapping mapping;
	uint64_t removed_s;		/* REMOVED: CLOCK_REALTIME */
};
/* clang-format on */

const char *change_kind_name(enum change_kind kind);

/*
 * Returns how many bytes of @buffer were written. What @change holds is valid, as nvo3_unpack()
 * makes it.
 */
size_t change_pack(const struct change *change, uint8_t buffer[CHANGE_SIZE_MAX]);

/* Reads exactly @size bytes; everything is checked. Returns 0 or -EBADMSG. */
int change_unpack(const uint8_t *data, size_t size, struct change *ret_change);

/*
 * How many of the first bytes of a packed change are its kind and its key; 0 when that is longer
 * than @size.
 */
size_t change_key_size(const uint8_t *data, size_t size);

/* True for the kinds that only say that their key is no more. */
bool change_is_end(enum change_kind kind);

#endif
