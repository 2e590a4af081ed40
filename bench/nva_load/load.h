/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* load.h - what nva-load can do; each prints one JSON object. */
#ifndef REHOME_BENCH_NVA_LOAD_LOAD_H
#define REHOME_BENCH_NVA_LOAD_LOAD_H

#include <stdint.h>

struct load_options {
	uint16_t port;
	uint32_t nve; /* number of the (first) NVE */
	uint32_t nves;
	uint32_t count;	 /* mappings, or moves */
	uint32_t first;	 /* mapping */
	uint32_t batch;	 /* mappings in a message; 1: REGISTER instead */
	uint32_t window; /* messages that wait for their answer */
	uint32_t rate;	 /* moves a second; 0: one after the other */
};

/* Registers mappings as fast as they are answered. */
void load_register(const struct load_options *options);
/* Subscribes and takes a snapshot, decoding everything. */
void load_sync(const struct load_options *options);
/* Moves VMs among NVEs, with everybody's consent and confirmation. */
void load_move(const struct load_options *options);

#endif
