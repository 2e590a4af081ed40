/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h - the agent's event loop in our own few verbs; libevent is behind it and nowhere else.
 *
 * Everything runs on one thread. A callback may release any watch or timer, its own included.
 *
 * What is urgent (a VM's monitor says STOP) waits for one other callback at most: after each one
 * that is not urgent the loop looks at the urgent descriptors again, and nobody who is urgent can
 * keep all others waiting. So a callback is as long as a switch may be delayed; what takes longer
 * is done in pieces, a timer of delay 0 between two of them.
 */
#ifndef REHOME_NVEAGENT_LOOP_H
#define REHOME_NVEAGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

struct loop;
struct loop_watch;
struct loop_timer;

enum loop_interest {
	LOOP_READ = 1 << 0,
	LOOP_WRITE = 1 << 1,
};

/* @ready: the subset of the interest that holds. */
typedef void (*loop_fd_handler)(void *userdata, unsigned ready);
typedef void (*loop_timer_handler)(void *userdata);

struct loop *loop_new(void);
struct loop *loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop, loop_free)

/* Runs until loop_stop(), SIGTERM or SIGINT. Returns 0 or -EIO. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/*
 * Leaves the CPU to others for @us, but returns at once when something urgent is ready. For what
 * keeps the loop busy for long: a daemon under SCHED_RR that never sleeps also keeps the kernel's
 * own workers of its CPU from running, among them those it depends on.
 */
void loop_rest(struct loop *loop, uint64_t us);

/* Watches @fd, which stays the caller's. @name: for logs, borrowed. NULL when out of memory. */
struct loop_watch *loop_watch_new(struct loop *loop, const char *name, int fd, unsigned interest,
				  loop_fd_handler handler, void *userdata);
/*
 * What is ready on @watch is dealt with before all that is not urgent. 0, -EINVAL while its handler
 * runs, or -ENOMEM, -ENOSPC.
 */
int loop_watch_set_urgent(struct loop_watch *watch);
/* @interest 0: the handler is not called until it is set again. 0, -EINVAL or -ENOMEM. */
int loop_watch_set(struct loop_watch *watch, unsigned interest);
struct loop_watch *loop_watch_free(struct loop_watch *watch);
DEFINE_CLEANUP(struct loop_watch, loop_watch_free)

/* A timer that is not running yet. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_handler handler, void *userdata);
/* Fires once, @delay_us from now; a running timer starts anew. 0 or -ENOMEM. */
int loop_timer_start(struct loop_timer *timer, uint64_t delay_us);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
struct loop_timer *loop_timer_free(struct loop_timer *timer);
DEFINE_CLEANUP(struct loop_timer, loop_timer_free)

#endif
