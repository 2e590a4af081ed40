/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* byte_queue.h - bytes that wait, first in first out. */
#ifndef REHOME_NVEAGENT_BYTE_QUEUE_H
#define REHOME_NVEAGENT_BYTE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

/* All zero: empty. What waits begins at data + start; what is added goes to data + end. */
struct byte_queue {
	uint8_t *data;
	size_t start, end, room;
};

/* Makes room for @size bytes behind the others, which may move. 0 or -ENOMEM. */
int byte_queue_reserve(struct byte_queue *queue, size_t size);
/* Adds a copy of @data. 0 or -ENOMEM. */
int byte_queue_append(struct byte_queue *queue, const void *data, size_t size);
/* Gives back all memory. */
void byte_queue_clear(struct byte_queue *queue);

static inline size_t byte_queue_size(const struct byte_queue *queue)
{
	return queue->end - queue->start;
}

#endif
