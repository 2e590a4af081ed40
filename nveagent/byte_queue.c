/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/byte_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int byte_queue_reserve(struct byte_queue *queue, size_t size)
{
	uint8_t *data;

	if (queue->start > 0) {
		memmove(queue->data, queue->data + queue->start, queue->end - queue->start);
		queue->end -= queue->start;
		queue->start = 0;
	}
	if (queue->room - queue->end >= size)
		return 0;
	data = realloc(queue->data, queue->end + size);
	if (!data)
		return -ENOMEM;
	queue->data = data;
	queue->room = queue->end + size;
	return 0;
}

void byte_queue_clear(struct byte_queue *queue)
{
	free(queue->data);
	*queue = (struct byte_queue){ 0 };
}
