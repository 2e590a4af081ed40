/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * netns.h - what the C tests in network namespaces share: namespaces of their own, commands to
 * set up and cross-check, taps.
 *
 * A test program never touches the namespace it was started in. Namespaces are anonymous: they
 * end with the process.
 */
#ifndef REHOME_TESTS_NETNS_NETNS_H
#define REHOME_TESTS_NETNS_NETNS_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "nveagent/kernel.h"
#include "tests/unit/unit.h"

enum {
	NETNS_SKIP = 77,	   /* meson's exit status for "skipped" */
	NETNS_COMMAND_MAX = 1024,
	NETNS_OUTPUT_MAX = 65536,
	NETNS_DEADLINE_MS = 30000, /* for anything that must become true */
};

/*
 * A command whose success shows that the kernel has a feature; it runs in a namespace that is
 * thrown away.
 */
struct netns_need {
	const char *feature, *command;
};

/*
 * Runs the tests, or exits with NETNS_SKIP and the reason on stdout when not root or a need is not
 * met. Each test starts in a fresh namespace with "lo" up.
 */
int netns_main(const char *suite, const struct netns_need *needs, size_t need_count,
	       const struct unit_test *tests, size_t test_count);

#define NETNS_MAIN(suite, needs, ...)                                                           \
	int main(void)                                                                          \
	{                                                                                       \
		static const struct unit_test tests_[] = { __VA_ARGS__ };                       \
                                                                                                \
		return netns_main(suite, needs, ARRAY_SIZE(needs), tests_, ARRAY_SIZE(tests_)); \
	}

/* A new namespace with "lo" up, entered; the descriptor that leads back to it. */
int netns_new(void);
void netns_enter(int netns);

/*
 * Runs a shell command in the present namespace; true when it exits with 0. Its output is shown
 * when it does not.
 */
bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, in silence. */
bool try_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* True when the output of the command has a line that contains each of the strings, up to NULL. */
bool shows(const char *command, ...) __attribute__((sentinel));
/* What the command prints, into a static buffer. */
const char *output_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Calls @condition until it is true; false after NETNS_DEADLINE_MS. */
bool eventually(bool (*condition)(void *userdata), void *userdata);

struct mac mac_of(const char *text);
struct ip ip_of(const char *text);
uint32_t ifindex_of(const char *name);

/* What nveagent/inflight.h needs of the kernel. */
enum { INFLIGHT_NEEDS = 5 };
extern const struct netns_need inflight_needs[INFLIGHT_NEEDS];

/* The two underlay families, for tests that run over both. */
struct underlay {
	const char *name, *ours, *theirs, *third;
	int prefix;
	uint32_t mtu_overhead;
};
extern const struct underlay underlays[2];

/*
 * In the present namespace: the end "u0" of a veth pair with @address, its other end "u1" with no
 * address; bridge "br100" and VXLAN device "vx100" (VNI 100) by kernel_vni_ensure().
 */
void make_underlay(const struct underlay *underlay);
void make_vni(struct kernel *kernel, const struct underlay *underlay,
	      struct vni_devices *ret_devices);

/*
 * A tap with vnet header (10 bytes), up and in @bridge (NULL: none), held by us; the descriptor,
 * non-blocking.
 */
int tap_open(const char *name, const char *bridge);
/* The frame that QEMU would read, without its vnet header; 0 when none waits. */
size_t tap_read(int tap, uint8_t *frame, size_t size);
/* A frame that the guest sends. */
bool tap_write(int tap, const uint8_t *frame, size_t size);

/* Builds an Ethernet frame of @size bytes that carries @number. */
size_t numbered_frame(struct mac to, struct mac from, uint16_t ethertype, uint32_t number,
		      size_t size, uint8_t *frame);
uint32_t frame_number(const uint8_t *frame);

#endif
