/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * directory.h - who serves which MAC and which address, in each VN. Pure: no sockets, no clock, no
 * log.
 *
 * Inputs are sessions that begin and end, messages, and the time; outputs are messages to NVEs. The
 * same inputs in the same order give the same outputs. Times are microseconds of any clock that
 * never runs backwards.
 *
 * Any function that returns -ENOMEM leaves a directory that can only be freed: what it then no
 * longer could tell an NVE would be missing there for good, while a new start makes every NVE tell
 * and ask anew.
 */
#ifndef REHOME_NVA_DIRECTORY_H
#define REHOME_NVA_DIRECTORY_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/change.h"
#include "nva/wire.h"

/* clang-format off */
enum {
	DIRECTORY_NVES_MAX = 4096,
	DIRECTORY_VNIS_MAX = 4096,
	DIRECTORY_VNI_MEMBERS_MAX = NVO3_MEMBERS_MAX,
	DIRECTORY_MAPPINGS_MAX = 1 << 28,	/* what limits.vni_mappings can be at most */
	/* no tenant can exhaust the memory for the others */
	DIRECTORY_VNI_MAPPINGS_DEFAULT = 1 << 21,
	DIRECTORY_NVE_MAPPINGS_DEFAULT = 1 << 16, /* nor can an NVE */
	DIRECTORY_NVE_INTERESTS_DEFAULT = 1 << 16, /* nor one that pulls */
	DIRECTORY_MOVES_MAX = 4096,		/* asked or granted, not committed */
	DIRECTORY_MAC_MOVES_MAX = 4,		/* NVEs that may want the same MAC at once */
	/* bytes of FLOWS that one move may have passed on */
	DIRECTORY_MOVE_FLOWS_MAX = 8 << 20,
	DIRECTORY_CONVERGENCES_MAX = 4096,	/* committed, not confirmed by all */
	DIRECTORY_TOMBSTONES_MAX = 1 << 16,	/* generations of withdrawn mappings */
	DIRECTORY_TOMBSTONE_AGE_S = 86400,	/* no NVE holds an entry of before yesterday */
	/* the old NVE is waited for, before the others are told */
	DIRECTORY_HANDOVER_MS = 500,
	DIRECTORY_CONVERGE_MAX_S = 300,		/* a member that never confirms is given up */
	DIRECTORY_STATUS_MOVES_MAX = 256,	/* shown in a status; the count tells all */
	/* in all its NVEs' lists together; the counts tell all */
	DIRECTORY_STATUS_VNIS_MAX = 8192,
	/* shown, and so many claims of each; the counts tell all */
	DIRECTORY_STATUS_CONFLICTS_MAX = 256,
	DIRECTORY_STATUS_CLAIMS_MAX = 16,
	/* lines that wait to be logged; more are left out */
	DIRECTORY_NOTICES_MAX = 64,
	DIRECTORY_NOTICE_SIZE = 384,
};
/* clang-format on */

/*
 * An NVE may go on from a generation it remembers (the NVA may have lost its memory), but not from
 * one that would wrap.
 */
#define DIRECTORY_CLAIM_MAX (NVO3_GENERATION_MAX >> 1)

#define DIRECTORY_WITHDRAW_NEVER UINT64_MAX

/* 0: the default. */
struct directory_limits {
	uint32_t vni_mappings;	    /* of one VNI */
	uint32_t nve_mappings;	    /* of one NVE, in all VNIs */
	uint32_t nve_interests;	    /* of one NVE, in what others own, in VNIs it pulls */
	uint32_t mapping_addresses; /* of one MAC, at most MAPPING_IPS_MAX; MAPPING_IPS_DEFAULT */
};

struct directory_config {
	char name[NVO3_NAME_MAX + 1]; /* of this NVA */
	uint64_t incarnation;	      /* of this start, not 0 */
	uint64_t hash_seed;	      /* random */
	uint64_t lease_us;	      /* an NVE without a session keeps its place this long */
	uint64_t withdraw_us;	      /* after that its mappings go; or DIRECTORY_WITHDRAW_NEVER */
	uint64_t consent_timeout_us;  /* a present NVE has this long to answer */
	struct directory_limits limits;
};

struct directory;

/* Returns 0 or -ENOMEM. */
int directory_new(const struct directory_config *config, uint64_t now_us,
		  struct directory **ret_directory);
struct directory *directory_free(struct directory *directory);
DEFINE_CLEANUP(struct directory, directory_free)

/*
 * What the operator has reserved for diskless clients (nva/reservations.h): borrowed, and may
 * change between two calls. NULL, as at first: nothing.
 */
struct reservations;
void directory_reserve(struct directory *directory, const struct reservations *reservations);

/*
 * A session began and its first message is @hello. *ret_nve names the NVE in later calls until
 * directory_disconnect(); an NVE that was connected already is taken over by the new session:
 * *ret_replaced, and the caller closes the older one without telling the directory. Returns 0, or
 * with @reterr_text (NVO3_TEXT_MAX + 1 bytes) for the peer
 *   -EPROTO   another protocol version
 *   -EEXIST   the name or the VTEP belongs to another NVE that is connected or whose lease has
 *   not ended
 *   -ENOSPC   DIRECTORY_NVES_MAX
 * or -ENOMEM.
 */
int directory_connect(struct directory *directory, uint64_t now_us,
		      const struct nvo3_message *hello, uint32_t *ret_nve, bool *ret_replaced,
		      char *reterr_text);

/*
 * The session of @nve_id ended. It stays a member and keeps its mappings for lease_us; for another
 * withdraw_us as long as nobody else serves them.
 */
void directory_disconnect(struct directory *directory, uint64_t now_us, uint32_t nve_id);

/*
 * Takes one message of the session of @nve_id.
 * Returns 0, -EPROTO with *reterr_what (static text) for what an NVE must not send, or -ENOMEM.
 */
int directory_receive(struct directory *directory, uint64_t now_us, uint32_t nve_id,
		      const struct nvo3_message *message, const char **reterr_what);

/* Deals with what became due: call it several times a second. Returns 0 or -ENOMEM. */
int directory_tick(struct directory *directory, uint64_t now_us);

/* --- what outlives a restart --- */

/*
 * Called from within the functions above for everything that must be known after a restart, in the
 * order in which it happened. What they then give to be told may be told once that is safe. @change
 * is borrowed; its removed_s is 0: there is no clock here.
 */
typedef void directory_journal(void *userdata, const struct change *change);

/*
 * Takes what a journal was given in an earlier life; before directory_begin(). @now_s: the time
 * that removed_s is of. Nobody is connected then: leases begin at @now_us. Returns 0, -ENOMEM, or
 * -EINVAL with *reterr_what (static text): no journal was given that.
 */
int directory_restore(struct directory *directory, uint64_t now_us, uint64_t now_s,
		      const struct change *change, const char **reterr_what);

/*
 * From now on @journal is told what happens. Before any session; the first thing it is told, unless
 * it was restored, is who this NVA is. Returns 0 or -ENOMEM.
 */
int directory_begin(struct directory *directory, uint64_t now_us, directory_journal *journal,
		    void *userdata);

/*
 * Everything that a journal would have been told by now, without who this NVA is: each once, NVEs
 * before what they take part in, members before mappings. A mapping has its NVE's VTEP in .vtep.
 * @now_s as above.
 */
void directory_dump(const struct directory *directory, uint64_t now_us, uint64_t now_s,
		    directory_journal *taker, void *userdata);

/*
 * Takes the mappings and withdrawn generations of @from that are newer than those here; *ret_taken
 * and *ret_kept say how many were, and were not. Returns 0, -EEXIST with *reterr_what (static text)
 * and nothing done, or -ENOMEM.
 */
int directory_merge(struct directory *directory, uint64_t now_us, const struct directory *from,
		    size_t *ret_taken, size_t *ret_kept, const char **reterr_what);

/* What an operator wants. */
struct directory_reassignment {
	uint32_t vni;		    /* with @mac; with @vm 0: all */
	struct mac mac;		    /* or zero */
	struct uuid vm;		    /* all that it has; or none */
	char to[NVO3_NAME_MAX + 1]; /* the NVE that shall serve it */
	bool dry;		    /* only say what would be done */
};

/* What became of a mapping. */
struct directory_reassigned {
	uint32_t vni;
	struct mac mac;
	char from[NVO3_NAME_MAX + 1];
	uint64_t generation; /* now */
	bool changed;	     /* false: it was that NVE's already, or this is dry */
};

/*
 * Gives mappings to an NVE without anybody's consent. The caller frees *ret_list. Returns 0, or
 * with @reterr_text (NVO3_TEXT_MAX + 1 bytes) and nothing done
 *   -EINVAL         neither a MAC in a VNI nor a VM, or both
 *   -ENOENT         there is no such mapping, or no such NVE
 *   -ENOTCONN       the NVE has no session
 *   -EADDRNOTAVAIL  it has not subscribed to the VNI
 *   -ENOSPC         it would have too many
 * or -ENOMEM.
 */
int directory_reassign(struct directory *directory, uint64_t now_us,
		       const struct directory_reassignment *what,
		       struct directory_reassigned **ret_list, size_t *ret_count,
		       char *reterr_text);

/*
 * Adds to a status what the directory does not know itself: how it is kept, and by whom. 0 or
 * -ENOMEM.
 */
typedef int directory_about(void *userdata, struct json_object *status);

/* From now on an NVE that asks is told that, too. */
void directory_set_about(struct directory *directory, directory_about *about, void *userdata);

/* The newest generation that is known of a MAC, served or withdrawn; 0: none. */
uint64_t directory_generation(const struct directory *directory, uint32_t vni, struct mac mac);

/* How much there is. */
struct directory_counts {
	size_t nves, vnis, mappings, tombstones;
};
void directory_count(const struct directory *directory, struct directory_counts *ret_counts);

/*
 * One message for any number of NVEs (none: they left meanwhile) that are connected, gateways
 * first.
 */
struct directory_output {
	struct nvo3_message message;
	size_t to_count;
	uint32_t to[];
};

struct directory_output *directory_output_free(struct directory_output *output);
DEFINE_CLEANUP(struct directory_output, directory_output_free)

/*
 * The next message to send; the caller owns *ret_output. Changes made since the last call travel
 * together, one UPDATE per VNI: call it until it returns 0, after as many inputs as arrived at
 * once. Returns 1, 0 when there is none, or -ENOMEM.
 */
int directory_next_output(struct directory *directory, struct directory_output **ret_output);

/*
 * While changes are held, they are collected instead of told; answers and snapshots go on. Returns
 * whether there are any.
 */
bool directory_hold_changes(struct directory *directory, bool held);

/* Whether every NVE that has a session has confirmed all that it was sent in it. */
bool directory_is_confirmed(const struct directory *directory);

/*
 * While @nve_id is held, it is not sent the rest of a snapshot: more waits for it than it takes. A
 * session begins without.
 */
void directory_hold(struct directory *directory, uint32_t nve_id, bool held);

/* The next line for the log, in DIRECTORY_NOTICE_SIZE bytes of @text; false when there is none. */
bool directory_next_notice(struct directory *directory, char *text);

/*
 * What NVO3_STATUS answers, and the mappings of VNI @number (0: of all). The caller owns the
 * object. 0 or -ENOMEM.
 */
int directory_status(const struct directory *directory, uint64_t now_us,
		     struct json_object **ret_status);
int directory_mappings(const struct directory *directory, uint32_t number,
		       struct json_object **ret_mappings);

#endif
