/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/byte_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Moved only when that makes as much room as is moved, so that each byte is moved once or twice. */
static void make_room(struct byte_queue *queue)
{
	size_t waiting = byte_queue_size(queue);

	if (queue->start < waiting)
		return;
	memmove(queue->data, queue->data + queue->start, waiting);
	queue->start = 0;
	queue->end = waiting;
}

int byte_queue_reserve(struct byte_queue *queue, size_t size)
{
	uint8_t *data;

	if (queue->start > 0)
		make_room(queue);
	if (queue->room - queue->end >= size)
		return 0;
	data = realloc(queue->data, queue->end + size);
	if (!data)
		return -ENOMEM;
	queue->data = data;
	queue->room = queue->end + size;
	return 0;
}

int byte_queue_append(struct byte_queue *queue, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	if (byte_queue_reserve(queue, size) < 0)
		return -ENOMEM;
	memcpy(queue->data + queue->end, data, size);
	queue->end += size;
	return 0;
}

void byte_queue_clear(struct byte_queue *queue)
{
	free(queue->data);
	*queue = (struct byte_queue){ 0 };
}
