/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h - where an NVA keeps what it must still know after a restart.
 *
 *   directory ──changes──▶ store_append() ... store_commit() ──▶ (a thread, a disk, other machines)
 *                                                                          │
 *   nothing that says so leaves before  store_durable() >= ticket ◀── store_fd(), store_dispatch()
 *
 * Completion is asynchronous: store_append() and store_commit() never wait. What is appended
 * between two commits belongs together: after a crash either all of it is there or nothing. Whoever
 * tells the outside about a change first waits until store_durable() has reached the ticket of its
 * commit. A store may put several commits into one write; tickets become durable in their order.
 *
 * A store is used by one thread, whatever it runs inside. Which kind it is shows in how it is
 * opened: store_file.h. NULL is the store that keeps nothing, and has everything durable at once.
 */
#ifndef REHOME_NVA_STORE_H
#define REHOME_NVA_STORE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nva/change.h"

enum {
	STORE_MESSAGE_SIZE = 512,
};

enum store_state {
	STORE_WORKS,
	/* nothing becomes durable, but it may yet: the disk is full. It tries again by itself */
	STORE_WAITS,
	/* nothing becomes durable any more: what was not durable until now may be lost */
	STORE_FAILED,
};

struct store;

/* What a kind of store implements; the functions below say what each does. */
struct store_class {
	int (*load)(struct store *store, int (*each)(void *userdata, const struct change *change),
		    void *userdata, char *reterr_message);
	int (*append)(struct store *store, const struct change *change);
	uint64_t (*commit)(struct store *store);
	uint64_t (*confirm)(struct store *store); /* may be NULL */
	uint64_t (*durable)(const struct store *store);
	int (*fd)(const struct store *store);
	void (*dispatch)(struct store *store);
	enum store_state (*state)(const struct store *store, const char **ret_text);
	const char *(*elsewhere)(const struct store *store); /* may be NULL */
	int (*describe)(const struct store *store, struct json_object *object);
	struct store *(*free)(struct store *store);
};

/* Stands first in the object of every kind. */
struct store {
	const struct store_class *class;
};

/*
 * Calls @each for every change that is kept, in an order in which they can be applied: an NVE
 * before what it takes part in, a member before its mappings. Of one key several may come, the last
 * of which counts. To be called once, before anything else. Returns 0, what @each returned if that
 * was not 0, or a negative errno, with @reterr_message (STORE_MESSAGE_SIZE bytes) for the user;
 * @each writes there itself.
 */
int store_load(struct store *store, int (*each)(void *userdata, const struct change *change),
	       void *userdata, char *reterr_message);

/* Returns 0 or -ENOMEM: what was appended since the last commit is then worth nothing. */
int store_append(struct store *store, const struct change *change);

/*
 * Returns the ticket of everything that was appended until now; the last one if that was nothing.
 */
uint64_t store_commit(struct store *store);
/*
 * For what tells of nothing new: the ticket after which it is sure that nobody else had changed
 * anything when this was called. A store that nobody shares has it as soon as what was committed is
 * durable.
 */
uint64_t store_confirm(struct store *store);
uint64_t store_durable(const struct store *store);

/* Readable when store_dispatch() has something to do; -1 for none. */
int store_fd(const struct store *store);
void store_dispatch(struct store *store);

/* @ret_text, which may be NULL: borrowed until the next dispatch, says why; "" when it works. */
enum store_state store_state(const struct store *store, const char **ret_text);

/*
 * NULL; or, while another NVA is the one to write to the store, who that is; borrowed until the
 * next dispatch.
 */
const char *store_elsewhere(const struct store *store);

/* Adds what an operator wants to know. 0 or -ENOMEM. */
int store_describe(const struct store *store, struct json_object *object);

/* Waits for what has been committed, unless it waits for something itself. */
struct store *store_free(struct store *store);
DEFINE_CLEANUP(struct store, store_free)

#endif
