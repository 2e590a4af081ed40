/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * interrupt.h - Ctrl-C and SIGTERM as something to read, so that a migration can be ended cleanly.
 */
#ifndef REHOME_NVECTL_INTERRUPT_H
#define REHOME_NVECTL_INTERRUPT_H

#include <stdbool.h>

/*
 * Blocks SIGINT and SIGTERM (before any thread is started, so that all inherit it) and returns a
 * non-blocking descriptor that is readable when one came, or a negative errno.
 */
int interrupt_open(void);

/* True when a signal came since the last call. */
bool interrupt_take(int fd);

#endif
