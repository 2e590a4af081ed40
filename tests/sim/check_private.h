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
};

struct check {
	struct sim *sim;
	struct record records[SIM_ENDPOINTS_MAX];
	uint64_t copies[SIM_NVES_MAX][SIM_ENDPOINTS_MAX]; /* generations */
	struct {
		bool begun[SIM_VNIS]; /* its snapshot, in the present session */
	} sessions[SIM_NVES_MAX];
};

unsigned check_nve_of_vtep(struct ip vtep);

#endif
