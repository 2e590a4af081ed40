/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_private.h - what check.c and agreement.c share. */
#ifndef REHOME_TESTS_SIM_CHECK_PRIVATE_H
#define REHOME_TESTS_SIM_CHECK_PRIVATE_H

#include "tests/sim/check.h"
#include "tests/sim/nve.h"

/* What is known of an endpoint's MAC. NVEs are counted from 1. */
struct record {
	uint8_t owners[SIM_GENERATIONS]; /* 0: not known */
	uint64_t durable;		 /* the newest generation on the disk */
	uint64_t heard;			 /* the newest one that an NVE was told */
	uint8_t owner;			 /* in the directory */
	bool learned, consented;
	uint64_t consent_id; /* the question that was answered so; 0: not known */
	uint64_t wanted_us[SIM_NVES_MAX]; /* since when that NVE has wanted it; 0: it does not */
	struct {
		uint8_t from; /* 0: nobody is waited for */
		uint64_t generation;
		uint64_t revision; /* that it was told; 0: not yet */
		uint64_t since_us;
	} handover;
};

struct check {
	struct sim *sim;
	struct record records[SIM_ENDPOINTS_MAX];
	uint64_t copies[SIM_NVES_MAX][SIM_ENDPOINTS_MAX]; /* generations */
	struct check_session {
		bool open;
		uint64_t since_us;    /* it is open, or not */
		bool begun[SIM_VNIS]; /* its snapshot, in the present session */
	} sessions[SIM_NVES_MAX];
	bool members[SIM_NVES_MAX][SIM_VNIS]; /* as the directory knows */
	uint64_t started_us;		      /* the NVA's present life */
	/* What an NVE is just saying. */
	unsigned speaker; /* 0: nobody */
	enum nvo3_kind saying;
};

/* NVEs are counted from 1; 0: none. */
unsigned check_nve_of_name(const char *name);
unsigned check_nve_of_vtep(struct ip vtep);
/* NULL: it is of no endpoint. */
struct record *check_record(struct check *check, uint32_t vni, struct mac mac);
/* If @change says that an NVE takes part in a VN, or no more. */
void check_note_member(struct check *check, const struct change *change);
const char *check_name(const struct check *check, const struct record *record, char *buffer);

/* --- check_owner.c: who may have it, and who is told first --- */
void check_owner_forget(struct check *check);
/* @nve is told of @generation by an UPDATE with @revision. */
void check_handover_told(struct check *check, struct record *record, uint64_t generation,
			 uint64_t revision, unsigned nve);

#endif
