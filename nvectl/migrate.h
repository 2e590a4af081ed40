/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate.h - one migration: what is asked for, the two ways to do it, and the account of it. */
#ifndef REHOME_NVECTL_MIGRATE_H
#define REHOME_NVECTL_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/uuid.h"
#include "nvectl/nvectl.h"

enum {
	MIGRATE_ERROR_SIZE = 512,
	MIGRATE_VM_SIZE = 256,
	MIGRATE_TICK_MS = 250, /* how often progress is asked for */
};

/* All text is borrowed from argv; NULL when not given. */
struct migrate_options {
	struct nvectl *ctl;

	const char *vm, *destination_uri; /* libvirt */
	const char *connect_uri;	  /* the source's libvirt */
	const char *migrate_uri;	  /* where QEMU sends to, when libvirt must not choose */
	bool postcopy;
	bool persistent; /* the definition moves as well */

	const char *qmp; /* bare QEMU: the source's monitor socket */
	const char *to;	 /* HOST:PORT */
	const char *mac; /* with vni: the port the agent switches; NULL: no agent is asked */
	uint32_t vni;
};

enum migrate_end {
	MIGRATE_MOVED,
	MIGRATE_ABORTED, /* by the operator */
	MIGRATE_FAILED,
	MIGRATE_END_COUNT,
};

enum migrate_place {
	MIGRATE_AT_SOURCE,
	MIGRATE_AT_DESTINATION,
	MIGRATE_AT_UNKNOWN, /* the source could not be asked afterwards */
	MIGRATE_PLACE_COUNT,
};

struct migrate_account {
	enum migrate_end end;
	enum migrate_place place;
	bool running;	     /* at the source; means nothing elsewhere */
	uint64_t started_us; /* CLOCK_REALTIME */
	uint64_t duration_ms;
	uint64_t downtime_ms; /* UINT64_MAX: nobody said */
	uint64_t transferred_bytes, passes;
	char vm[MIGRATE_VM_SIZE];	/* its name, or the monitor's path */
	char uuid[UUID_TEXT_SIZE];	/* "" when not known */
	char error[MIGRATE_ERROR_SIZE]; /* one line; "" when it moved */
};

/*
 * Moves the VM and shows the progress until it is over, aborting when @interrupt_fd (interrupt.h)
 * says so. Returns 0 with @account filled, whichever way it ended; or a negative errno with
 * @account->error when it never began.
 */
int migrate_libvirt(const struct migrate_options *options, int interrupt_fd,
		    struct migrate_account *account);
int migrate_qmp(const struct migrate_options *options, int interrupt_fd,
		struct migrate_account *account);

/* Writes the error and returns @error. */
int migrate_error(struct migrate_account *account, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
