/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

enum {
	LEARN_OF_BREAK_MAX_US =
		3000000, /* until an end knows that the network broke a connection */
	LEARN_SILENT_MAX_US =
		15000000, /* until silence alone tells it: nva/session.h, SESSION_DEAD_S */
};

/* What goes from one side to the other one. */
struct pipe {
	struct link *link;
	enum link_side to;
	uint8_t *data; /* owned */
	size_t start, end, room;
	struct timer arrive; /* of the next piece */
	struct timer finish; /* the receiver learns that nothing more comes */
	bool ends;	     /* nothing is written to it any more */
};

struct link {
	struct network *network;
	struct link *next;
	struct link_end ends[LINK_SIDES];
	struct pipe pipes[LINK_SIDES]; /* by the side that writes */
	bool stalled;
};

static enum link_side other(enum link_side side)
{
	return side == LINK_NVE ? LINK_NVA : LINK_NVE;
}

static size_t waiting(const struct pipe *pipe)
{
	return pipe->end - pipe->start;
}

/* --- arrivals --- */

static void finish(void *object)
{
	struct pipe *pipe = object;
	struct link_end *end = &pipe->link->ends[pipe->to];

	if (end->object)
		end->closed(end->object);
}

static void await(struct pipe *pipe)
{
	struct network *network = pipe->link->network;

	if (pipe->link->stalled || timer_runs(&pipe->arrive))
		return;
	if (waiting(pipe) > 0)
		timer_start(network->clock, &pipe->arrive,
			    random_delay(network->random, network->delay_us));
	else if (pipe->ends && !timer_runs(&pipe->finish))
		timer_start(network->clock, &pipe->finish,
			    random_delay(network->random, network->delay_us));
}

static void arrive(void *object)
{
	struct pipe *pipe = object;
	struct network *network = pipe->link->network;
	struct link_end *end = &pipe->link->ends[pipe->to];
	size_t size = waiting(pipe);
	const uint8_t *data = pipe->data + pipe->start;

	if (!random_chance(network->random, network->whole_percent))
		size = 1 + random_below(network->random, size);
	pipe->start += size;
	if (end->object)
		end->hear(end->object, data, size);
	await(pipe);
}

/* --- life --- */

static void pipe_init(struct link *link, enum link_side from)
{
	struct pipe *pipe = &link->pipes[from];

	pipe->link = link;
	pipe->to = other(from);
	pipe->arrive = (struct timer){ .run = arrive, .object = pipe };
	pipe->finish = (struct timer){ .run = finish, .object = pipe };
}

struct link *link_new(struct network *network, const struct link_end ends[LINK_SIDES])
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		abort();
	link->network = network;
	link->next = network->links;
	network->links = link;
	for (enum link_side side = 0; side < LINK_SIDES; side++) {
		link->ends[side] = ends[side];
		pipe_init(link, side);
	}
	return link;
}

static void link_free(struct link *link)
{
	for (enum link_side side = 0; side < LINK_SIDES; side++) {
		timer_stop(link->network->clock, &link->pipes[side].arrive);
		timer_stop(link->network->clock, &link->pipes[side].finish);
		free(link->pipes[side].data);
	}
	free(link);
}

void network_reap(struct network *network)
{
	struct link **place = &network->links;

	while (*place) {
		struct link *link = *place;

		if (link->ends[LINK_NVE].object || link->ends[LINK_NVA].object) {
			place = &link->next;
			continue;
		}
		*place = link->next;
		link_free(link);
	}
}

void network_clear(struct network *network)
{
	while (network->links) {
		struct link *link = network->links;

		network->links = link->next;
		link_free(link);
	}
}

/* --- what is done to it --- */

static void reserve(struct pipe *pipe, size_t size)
{
	if (pipe->room - pipe->end >= size)
		return;
	if (waiting(pipe) > 0)
		memmove(pipe->data, pipe->data + pipe->start, waiting(pipe));
	pipe->end -= pipe->start;
	pipe->start = 0;
	if (pipe->room - pipe->end >= size)
		return;
	pipe->room = (pipe->end + size) * 2;
	pipe->data = realloc(pipe->data, pipe->room);
	if (!pipe->data)
		abort();
}

void link_send(struct link *link, enum link_side from, const void *data, size_t size)
{
	struct pipe *pipe = &link->pipes[from];

	if (pipe->ends)
		return;
	reserve(pipe, size);
	memcpy(pipe->data + pipe->end, data, size);
	pipe->end += size;
	await(pipe);
}

size_t link_waiting(const struct link *link, enum link_side from)
{
	return waiting(&link->pipes[from]);
}

void link_close(struct link *link, enum link_side side, bool silent)
{
	struct pipe *pipe = &link->pipes[side];

	link->ends[side].object = NULL;
	pipe->ends = true;
	if (silent)
		timer_start(link->network->clock, &pipe->finish,
			    random_below(link->network->random, LEARN_SILENT_MAX_US));
	else
		await(pipe);
}

void link_break(struct link *link)
{
	struct network *network = link->network;

	link->stalled = false;
	for (enum link_side side = 0; side < LINK_SIDES; side++) {
		struct pipe *pipe = &link->pipes[side];

		pipe->end -= random_below(network->random, waiting(pipe) + 1);
		pipe->ends = true;
		if (waiting(pipe) == 0)
			timer_stop(network->clock, &pipe->arrive);
		else
			await(pipe);
		timer_start(network->clock, &pipe->finish,
			    random_delay(network->random, LEARN_OF_BREAK_MAX_US));
	}
}

void link_stall(struct link *link, bool stalled, const uint64_t give_up_us[LINK_SIDES])
{
	link->stalled = stalled;
	for (enum link_side side = 0; side < LINK_SIDES; side++) {
		struct pipe *pipe = &link->pipes[side];

		if (stalled) {
			timer_stop(link->network->clock, &pipe->arrive);
			timer_start(link->network->clock, &pipe->finish, give_up_us[pipe->to]);
		} else {
			timer_stop(link->network->clock, &pipe->finish);
			await(pipe);
		}
	}
}
