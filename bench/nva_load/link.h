/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.h - a simulated NVE's connection: frames out, collected until link_flush(); frames in, one
 * after the other. Blocking or not is the caller's choice. Errors end the program: a load that is
 * not what it says is worth nothing.
 */
#ifndef REHOME_BENCH_NVA_LOAD_LINK_H
#define REHOME_BENCH_NVA_LOAD_LINK_H

#include <stdbool.h>

#include "nva/wire.h"

enum {
	LINK_READ_SIZE = 64 << 10,
	LOAD_VNI = 100,
};

struct link_bytes {
	uint8_t *data; /* owned */
	size_t start, end, room;
};

struct link {
	int fd;
	struct link_bytes in, out;
};

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/*
 * Connects to @port of the loopback address, and greets; NVE @number has the name and VTEP it
 * makes.
 */
void link_open(struct link *link, uint16_t port, uint32_t number);
void link_close(struct link *link);
void link_set_nonblocking(struct link *link);

/* Packs and collects. */
void link_say(struct link *link, const struct nvo3_message *message);
/* Writes what is collected; false when the socket takes no more now (non-blocking only). */
bool link_flush(struct link *link);

/* Reads once; false when nothing came (non-blocking only). */
bool link_read(struct link *link);

/* A frame that has been read. */
struct link_frame {
	uint64_t id;
	enum nvo3_kind kind;
	const uint8_t *envelope, *body;
	size_t envelope_size, body_size;
};

/*
 * The next frame that is there; false when none is whole. Only its kind and id are looked at; valid
 * until the next link_read().
 */
bool link_next(struct link *link, struct link_frame *ret_frame);
/* Decodes all of it. The caller clears *ret_message. */
void link_decode(const struct link_frame *frame, struct nvo3_message *ret_message);
/* Of an UPDATE, without what else is in it. */
uint64_t link_revision(const struct link_frame *frame);

/* Mapping @number of NVE @nve: a MAC, an IPv4 and an IPv6 address of its own. */
void load_mapping(uint32_t number, struct mapping *ret_mapping);
uint32_t load_number(struct mac mac);

#endif
