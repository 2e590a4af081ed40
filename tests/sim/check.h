/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h - what must be true whatever happens, and what must be true once nothing goes wrong any
 * more.
 *
 * Always
 *   - A generation of a MAC is one NVE's: on the disk, and in everything an NVE is told.
 *   - What an NVE is told is on the disk; after a restart the directory knows nothing older.
 *   - The journal is all there is: a directory made from it says what the one that wrote it says.
 *   - A VM changes its NVE only if that one consented, withdrew it, or its lease has ended; or it
 *     has no session, and has had as long to answer as it has to consent.
 *   - A mapping ends when its NVE withdraws it or is gone for good, and not before.
 *   - Nobody but the old NVE is told of a move before that one has confirmed it, or was given its
 *     time.
 *   - An NVE's copy never goes back to an older generation, and loses nothing that the directory
 *     has.
 *   - An NVE hears nothing of a VN that it did not subscribe to.
 *   - CONVERGED is true: every NVE that the NVA has a session with, and that takes part, has the
 *     new generation in its kernel; also those who are yet to come back to an NVA that has just
 *     started again, if it was asked.
 * When it is calm, within seconds
 *   - The directory says of each endpoint where it is, with its addresses, and of no other one.
 *   - Each NVE's copy, its list of members and its kernel's tables are what the directory says.
 *   - No move is under way or has not converged; nothing is owed.
 */
#ifndef REHOME_TESTS_SIM_CHECK_H
#define REHOME_TESTS_SIM_CHECK_H

#include "tests/sim/sim.h"

struct nve;

struct check *check_new(struct sim *sim);
struct check *check_free(struct check *check);

/* The directory's journal was told @change. */
void check_change(struct check *check, const struct change *change);
/* It has become durable. */
void check_written(struct check *check, const struct change *change);
/* @message leaves for the NVE with @vtep. */
void check_told(struct check *check, const struct nvo3_message *message, struct ip vtep);
/* It has arrived there. */
void check_heard(struct check *check, const struct nve *nve, const struct nvo3_message *message);
/*
 * The NVE called @name said that, in its present session: until check_heeded() what happens,
 * happens because of it.
 */
void check_said(struct check *check, const char *name, const struct nvo3_message *message);
void check_heeded(struct check *check);
/* A session of the NVE called @name begins. */
void check_session(struct check *check, const char *name);
/* It has ended. */
void check_session_end(struct check *check, const char *name);
/* The directory begins its snapshot of @vni. */
void check_snapshot(struct check *check, const char *name, uint32_t vni);
/* The directory says CONVERGED. */
void check_converged(struct check *check, const struct nvo3_message *message);
/* @nve's copy has @mapping now. */
void check_copy(struct check *check, const struct nve *nve, const struct mapping *mapping);
/* @nve's copy has none of @mac any more. */
void check_lost(struct check *check, const struct nve *nve, uint32_t vni, struct mac mac);
/* @nve's copy is a new one. */
void check_copy_anew(struct check *check, const struct nve *nve);
/* The NVA is about to end: what it has appended to its store is what it knows. */
void check_journal(struct check *check);
/* It has lost its disk: nothing that was said until now binds it. */
void check_forgotten(struct check *check);
/* It has started again. */
void check_started(struct check *check);

/*
 * What is not yet as it must be when it is calm; false with a sentence in @text (SIM_TEXT_SIZE
 * bytes).
 */
bool check_agreement(struct check *check, char *text);

#endif
