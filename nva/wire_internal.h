/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire_internal.h - how a message kind and its place in the Envelope's oneof correspond; for
 * wire_*.c.
 */
#ifndef REHOME_NVA_WIRE_INTERNAL_H
#define REHOME_NVA_WIRE_INTERNAL_H

#include <assert.h>

#include "nva/nvo3.pb-c.h"
#include "nva/wire.h"

/* The fields of the oneof are numbered in the order of enum nvo3_kind. */
enum {
	BODY_FIRST = REHOME__NVO3__ENVELOPE__BODY_HELLO,
};
static_assert(BODY_FIRST + (int) NVO3_REGISTER == REHOME__NVO3__ENVELOPE__BODY_REGISTRATION,
	      "order");
static_assert(BODY_FIRST + (int) NVO3_MOVE_INTENT == REHOME__NVO3__ENVELOPE__BODY_MOVE_INTENT,
	      "order");
static_assert(BODY_FIRST + (int) NVO3_COMMIT == REHOME__NVO3__ENVELOPE__BODY_COMMIT, "order");
static_assert(BODY_FIRST + (int) NVO3_UPDATE == REHOME__NVO3__ENVELOPE__BODY_UPDATE, "order");
static_assert(BODY_FIRST + (int) NVO3_STATUS == REHOME__NVO3__ENVELOPE__BODY_STATUS, "order");
static_assert(BODY_FIRST + (int) NVO3_ERROR == REHOME__NVO3__ENVELOPE__BODY_ERROR, "order");
static_assert(BODY_FIRST + (int) NVO3_FLOWS == REHOME__NVO3__ENVELOPE__BODY_FLOWS, "order");
static_assert(NVO3_KIND_COUNT == 25,
	      "a new kind needs a field in the oneof, and a line in both tables");

#endif
