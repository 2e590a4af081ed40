/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.h - the two clocks the programs read; pure modules take the time as an argument. */
#ifndef REHOME_COMMON_CLOCK_H
#define REHOME_COMMON_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC: for intervals and deadlines on this host. */
uint64_t clock_monotonic_us(void);

/* Microseconds of CLOCK_REALTIME since 1970: what QMP events and the ledger carry. */
uint64_t clock_realtime_us(void);

#endif
