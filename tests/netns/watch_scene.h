/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_scene.h - for tests of what the agent's loop watches: a network namespace of their own,
 * ip(8), frames on devices, and running the loop until something holds.
 */
#ifndef REHOME_TESTS_NETNS_WATCH_SCENE_H
#define REHOME_TESTS_NETNS_WATCH_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nveagent/loop.h"

enum {
	SCENE_SKIP = 77, /* meson's exit status for a skipped test */
	SCENE_TIMEOUT_MS = 30000,
	SCENE_FRAME_MAX = 2048,
};

/*
 * Moves the process into new network and mount namespaces with its own /run, where new devices have
 * no IPv6 of their own. Returns 0, or SCENE_SKIP after saying which prerequisite is missing.
 */
int scene_enter(void);

/* Runs a shell command line; false, after showing it, when it fails. */
bool scene_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint32_t scene_ifindex(const char *device); /* 0 when there is none */
bool scene_is_running(void *device); /* its name: up, with a carrier; fits scene_loop_until() */
/* Until a bridge port forwards: the kernel sees to that a moment after it has its carrier. */
bool scene_await_forwarding(const char *port);

/* A raw packet socket on @device that hears what the device receives. Returns it or -1. */
int scene_socket(const char *device);
bool scene_send(int fd, const uint8_t *frame, size_t size);
/* The next frame, waited for; its size, or 0 when none came before the deadline. */
size_t scene_receive(int fd, uint8_t *buffer, unsigned timeout_ms);

/*
 * Runs the loop until @holds says so; false when the deadline comes first. Looks after each turn of
 * a 1 ms timer.
 */
bool scene_loop_until(struct loop *loop, bool (*holds)(void *userdata), void *userdata,
		      unsigned timeout_ms);

#endif
