/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.h - the NVE-NVA protocol: nvo3.proto in and out of plain C values. Bytes only: no sockets,
 * no clocks.
 *
 * A frame is a 4-byte big-endian length followed by one protobuf Envelope. docs/protocol.md tells
 * the exchange; the roles are those of RFC 8014 section 3 and RFC 8171 (push and pull directory).
 */
#ifndef REHOME_NVA_WIRE_H
#define REHOME_NVA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "net/addr.h"
#include "net/uuid.h"

/* clang-format off */
enum {
	NVO3_PORT = 7365,		/* TCP; after RFC 7365, not registered */
	NVO3_VERSION = 1,
	NVO3_LENGTH_SIZE = 4,		/* bytes of the length before each Envelope */
	NVO3_FRAME_MAX = 1 << 20,	/* an UPDATE of half of NVO3_BATCH_MAX full mappings fits */
	NVO3_BATCH_MAX = 2048,		/* mappings and removed ones together in one message */
	/* so many a sender should put in an UPDATE: see docs/protocol.md */
	NVO3_UPDATE_GOOD_MAX = 256,
	NVO3_MEMBERS_MAX = 4096,	/* VTEPs of one VNI */
	NVO3_NAME_MAX = 64,		/* bytes of an NVE or NVA name */
	NVO3_TEXT_MAX = 256,		/* bytes of a reason */
	NVO3_JSON_MAX = NVO3_FRAME_MAX - 64, /* of a STATUS_REPLY; what remains is its envelope */
	/* bytes of sums in one message: those of all leaves (nva/digest.h) */
	NVO3_DIGEST_MAX = 1 << 19,
	/* bytes of FLOWS in one message: others must get through in between */
	NVO3_FLOWS_MAX = 1 << 18,
	/* addresses of one MAC; both sides can be told to take fewer */
	MAPPING_IPS_MAX = 32,
	MAPPING_IPS_DEFAULT = 16,	/* so many they take, unless configured */
};

/* A generation beyond this is refused, so that counting on from a false one never wraps. */
#define NVO3_GENERATION_MAX (UINT64_C(1) << 48)

enum mapping_flags {
	MAPPING_VM = 1 << 0,		/* a VM port; moves only by consent of its present NVE */
	/* from a local bridge (container): the newest NVE to see it has it */
	MAPPING_LEARNED = 1 << 1,
	/*
	 * it advertises itself as an IPv6 router: NAs made in its name must say so, or hosts drop
	 * it (RFC 4861 section 7.2.5)
	 */
	MAPPING_ROUTER = 1 << 2,
	MAPPING_GATEWAY = 1 << 3,	/* of the VN, to what is outside */
	MAPPING_STATIC = 1 << 4,	/* configured, not seen */
	MAPPING_STANDBY = 1 << 5,	/* ready to take over, not in use */
	/* all of them; the last three are passed on, and decide nothing here */
	MAPPING_FLAGS = (1 << 6) - 1,
};

/* Which NVE serves a MAC in a VN. */
struct mapping {
	uint32_t vni;
	struct mac mac;
	struct ip ips[MAPPING_IPS_MAX];	/* unicast; the first ip_count are valid */
	uint8_t ip_count;
	struct ip vtep;
	uint64_t generation;		/* grows by one with each change of NVE; 0: not known yet */
	struct uuid vm;			/* none for endpoints that are no VM */
	uint32_t flags;
};

enum nvo3_kind {
	NVO3_HELLO,		/* NVE -> NVA, first message */
	NVO3_WELCOME,		/* NVA -> NVE, the answer */
	/* NVE -> NVA, in each session: it takes part in this VNI (membership, push or pull) */
	NVO3_SUBSCRIBE,
	/*
	 * NVA -> NVE: all VTEPs of a VNI, the receiver's included; none, and a text: subscription
	 * refused
	 */
	NVO3_MEMBERS,
	NVO3_REGISTER,		/* NVE -> NVA: VM mobility registration request (draft section 6) */
	/* NVA -> NVE: registration reply, same id; endpoint and generation */
	NVO3_REGISTERED,
	/*
	 * NVE -> NVA: the endpoint left; ignored unless the sender is the present NVE and the
	 * generation is the present one or 0
	 */
	NVO3_WITHDRAW,
	NVO3_MOVE_INTENT,	/* new NVE -> NVA */
	NVO3_CONSENT,		/* NVA -> old NVE: asks; carries the new VTEP */
	NVO3_CONSENTED,		/* old NVE -> NVA, same id: yes or no */
	/*
	 * NVA -> new NVE, id of its intent: yes, with the generation to commit, or no; a later one
	 * with the same id replaces it
	 */
	NVO3_MOVE_GRANTED,
	/* new NVE -> NVA: the VM runs here; generation 0: whatever is or will be granted */
	NVO3_COMMIT,
	NVO3_COMMITTED,		/* NVA -> new NVE, same id */
	NVO3_ABORT,		/* either NVE -> NVA, and NVA -> the other one: this move is off */
	/* NVA -> NVE: what changed in one VNI: removed ones first, then mappings */
	NVO3_UPDATE,
	NVO3_ACK,		/* NVE -> NVA: the kernel holds everything up to this revision */
	/*
	 * NVA -> old and new NVE: every NVE of the VNI has confirmed; NVE -> NVA: asks to be told,
	 * because it may have missed that
	 */
	NVO3_CONVERGED,
	NVO3_QUERY,		/* NVE -> NVA: by MAC or by IP (pull) */
	NVO3_ANSWER,		/* NVA -> NVE, same id */
	NVO3_STATUS,		/* NVE -> NVA: what an operator asks for */
	NVO3_STATUS_REPLY,	/* NVA -> NVE, same id: JSON text */
	NVO3_PING,		/* either way; answered by NVO3_PONG with the same id */
	NVO3_PONG,
	NVO3_ERROR,		/* either way: the sender closes after it */
	/* old NVE -> NVA -> new NVE of a granted move: connection tracking entries */
	NVO3_FLOWS,
	NVO3_REGISTER_BATCH,	/* NVE -> NVA: many registrations, each judged alone, in order */
	/* NVA -> NVE, same id: a generation for each, and why those with 0 were refused */
	NVO3_BATCH_REGISTERED,
	NVO3_DROP,		/* NVE -> NVA: of what it pulled it holds these no more */
	/* NVA -> NVE: of which buckets it should say more; NVE -> NVA: the sums of their leaves */
	NVO3_DIGEST,
	NVO3_KIND_COUNT,
};
const char *nvo3_kind_name(enum nvo3_kind kind);

/* A standby is an NVA: it only wants to know when the NVA it calls is gone. */
enum nvo3_role { NVO3_ROLE_NVE, NVO3_ROLE_GATEWAY, NVO3_ROLE_STANDBY };

/* What an NVA can do beyond the first edition of version 1. */
enum nvo3_features {
	NVO3_FEATURE_PULL = 1 << 0,	/* SUBSCRIBE with pull, DROP */
	NVO3_FEATURE_DIGEST = 1 << 1,	/* SUBSCRIBE with a digest, DIGEST */
	NVO3_FEATURE_ASK_CONVERGED = 1 << 2, /* CONVERGED from an NVE is a question */
};

/* Why one mapping of a batch was refused. */
struct nvo3_refusal {
	uint32_t index;			/* in the batch */
	char text[NVO3_TEXT_MAX + 1];
};

/* One message. Which members count depends on the kind, as the comment on each says. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): they stand as they are used. */
struct nvo3_message {
	enum nvo3_kind kind;
	uint64_t id;			/* of a request and its reply; 0 where there is none */

	char name[NVO3_NAME_MAX + 1];	/* HELLO, WELCOME: of the sender */
	uint32_t version;		/* HELLO, WELCOME */
	enum nvo3_role role;		/* HELLO */
	/* HELLO: the sender's; CONSENT: the new NVE's; MOVE_GRANTED: the old's */
	struct ip vtep;
	uint64_t incarnation;		/* HELLO: of this start of the NVE; WELCOME: of the NVA */
	uint32_t features;		/* WELCOME: enum nvo3_features; unknown ones are ignored */
	/* SUBSCRIBE: it will ask for what it needs; false: it is pushed everything */
	bool pull;
	/* SUBSCRIBE: the list of what it holds goes on in the next one */
	bool more;

	/*
	 * SUBSCRIBE, MEMBERS, REGISTERED, WITHDRAW, CONSENT, CONSENTED, MOVE_GRANTED, COMMIT,
	 * COMMITTED, ABORT, UPDATE (of all its mappings), CONVERGED, QUERY, FLOWS, DROP, DIGEST
	 */
	uint32_t vni;
	/* the same but SUBSCRIBE, MEMBERS, UPDATE, DROP and DIGEST; QUERY: zero when asked by IP */
	struct mac mac;
	/* QUERY; ANSWER: reserved for the MAC that was asked for, or none */
	struct ip ip;
	/*
	 * REGISTERED, WITHDRAW, MOVE_GRANTED, COMMIT, COMMITTED, ABORT, CONVERGED; FLOWS from the
	 * NVA: the one that was granted
	 */
	uint64_t generation;
	struct uuid vm;			/* CONSENT */
	bool granted;			/* REGISTERED, CONSENTED, MOVE_GRANTED, COMMITTED */
	/* reason of a refusal, ABORT, ERROR; printable ASCII, others are sent as '?' */
	char text[NVO3_TEXT_MAX + 1];
	uint64_t revision;		/* UPDATE, ACK, CONVERGED */
	/* UPDATE: first of a full copy of a VNI: what is not in it up to snapshot_end is gone */
	bool snapshot;
	bool snapshot_end;

	struct ip *members;		/* MEMBERS: owned, member_count */
	size_t member_count;
	/*
	 * REGISTER and MOVE_INTENT: one; UPDATE: changed ones; ANSWER: none or one; REGISTER_BATCH:
	 * one or more; owned, mapping_count
	 */
	struct mapping *mappings;
	size_t mapping_count;
	/*
	 * UPDATE: withdrawn ones, of which only vni, mac and generation are set: ends entries of
	 * that generation and below; SUBSCRIBE: what a puller holds; DROP: what it does not any
	 * more; owned, removed_count
	 */
	struct mapping *removed;
	size_t removed_count;
	/* BATCH_REGISTERED: of each mapping, 0: refused; owned, generation_count */
	uint64_t *generations;
	size_t generation_count;
	struct nvo3_refusal *refusals;	/* BATCH_REGISTERED: owned, refusal_count */
	size_t refusal_count;
	char *json;			/* STATUS_REPLY: owned */
	/* FLOWS: opaque here (nveagent/flow.h); owned, flows_size */
	uint8_t *flows;
	size_t flows_size;
	/*
	 * SUBSCRIBE: sums of buckets, or none; DIGEST: see there; UPDATE that begins a snapshot: a
	 * bit for each bucket or leaf that it is of, none: of all; nva/digest.h; owned, digest_size
	 */
	uint8_t *digest;
	size_t digest_size;
};
/* clang-format on */

/* Releases what @message owns and zeroes it; also for use with _cleanup_. */
void nvo3_message_clear(struct nvo3_message *message);

/*
 * Packs @message as one frame into a new buffer that the caller frees. Returns 0, -EMSGSIZE when it
 * would exceed NVO3_FRAME_MAX or a count its cap, -EINVAL for a kind that does not exist or lacks
 * the mapping it is about, or -ENOMEM.
 */
int nvo3_pack(const struct nvo3_message *message, uint8_t **ret_frame, size_t *ret_size);

/*
 * Reads one Envelope (without the length). Everything is checked: sizes, families, VNI range, group
 * MACs, caps, unknown kinds. Returns 0 with *ret_message owned by the caller, or -EBADMSG with
 * *reterr_what (static text naming the field), or -ENOMEM.
 */
int nvo3_unpack(const uint8_t *data, size_t size, struct nvo3_message *ret_message,
		const char **reterr_what);

/*
 * How many bytes the first frame of @data takes, its length included: a positive number; 0 when its
 * length is not there yet (fewer than 4 bytes); -EMSGSIZE when it exceeds NVO3_FRAME_MAX; -EBADMSG
 * for a length of 0. The frame itself may still be incomplete: compare with @size.
 */
long nvo3_frame_size(const uint8_t *data, size_t size);

#endif
