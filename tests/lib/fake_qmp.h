/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_qmp.h - a scripted peer on the other end of a real socket: the script says what must be
 * asked and what to answer.
 *
 *	struct fake_qmp *qemu = fake_qmp_new();
 *	fake_qmp_greet(qemu);
 *	fake_qmp_expect(qemu, "cont", NULL, "{\"return\": {}}");
 *	fd = fake_qmp_start(qemu);
 *	...
 *	CU_ASSERT_EQUAL(fake_qmp_finish(qemu), 0);
 *
 * What went wrong on the peer's side is shown on stderr. Out of memory ends the test program.
 */
#ifndef REHOME_TESTS_LIB_FAKE_QMP_H
#define REHOME_TESTS_LIB_FAKE_QMP_H

#include <stddef.h>

struct fake_qmp;

struct fake_qmp *fake_qmp_new(void);

/* The script; each appends one step. */

/* Says QEMU 7.2.22's greeting and accepts the negotiation. */
void fake_qmp_greet(struct fake_qmp *qemu);
/*
 * Reads a line that must ask for @command with exactly @arguments (JSON text; NULL: none), and says
 * @reply (JSON text) with the id that was asked with. @reply NULL: stays silent.
 */
void fake_qmp_expect(struct fake_qmp *qemu, const char *command, const char *arguments,
		     const char *reply);
/* Says these bytes as they are. */
void fake_qmp_say(struct fake_qmp *qemu, const char *text);
/* Says @text again and again until the client closes. */
void fake_qmp_flood(struct fake_qmp *qemu, const char *text);
/* Closes. */
void fake_qmp_hang_up(struct fake_qmp *qemu);

/*
 * Begins to act; returns the client's end, which the caller owns. After the last step the peer is
 * silent.
 */
int fake_qmp_start(struct fake_qmp *qemu);

/* Waits for the end of the script; returns how many steps were not done. Releases @qemu. */
int fake_qmp_finish(struct fake_qmp *qemu);

#endif
