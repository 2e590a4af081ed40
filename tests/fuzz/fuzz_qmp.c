/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_qmp.c - what a hostile QEMU could say.
 *
 * The first byte is how many bytes arrive at a time (0: all at once); the rest is what QEMU says to
 * a session that has asked four things. Answers are read as those of query-migrate, query-status
 * and the questions of qmp/virtio.h. The rest, when it is text, is also tried as the details of a
 * libvirt event.
 */
#include <assert.h>
#include <string.h>

#include "common/json.h"
#include "qmp/migration.h"
#include "qmp/session.h"
#include "qmp/virtio.h"

enum {
	ASKED = 4,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct qmp_session *session, char *token)
{
	struct json_object *request;

	if (qmp_request_query_migrate(&request) == 0)
		(void) qmp_session_command(session, request, token, NULL);
}

static void check_event(const struct qmp_event *event)
{
	assert(event->kind < QMP_EVENT_KIND_COUNT);
	assert(event->kind != QMP_EVENT_MIGRATION || event->status < QMP_MIGRATION_STATUS_COUNT);
	assert(event->timestamp_us <= INT64_MAX);
}

static void check_virtio(struct json_object *value)
{
	struct qmp_virtio_nets nets;
	struct qmp_virtio_queue queue;
	struct mac mac;
	uint64_t number;
	bool plain;

	if (qmp_virtio_nets_parse(value, &nets) == 0)
		for (size_t i = 0; i < nets.count; i++)
			assert(strlen(nets.paths[i]) < QMP_PATH_SIZE);
	(void) qmp_virtio_net_mac_parse(value, &mac);
	(void) qmp_virtio_status_parse(value, &plain);
	(void) qmp_virtio_queue_parse(value, &queue);
	(void) qmp_host_address_parse(value, &number);
}

static void check_answer(const struct qmp_message *message, char *tokens)
{
	struct qmp_migration_info info;
	struct qmp_vm_status status;
	char *token = message->token;

	assert(message->id >= 1 && message->id <= ASKED && token == &tokens[message->id - 1]);
	assert(*token == 0); /* no command is answered twice */
	*token = 1;
	if (message->kind == QMP_MESSAGE_ERROR) {
		assert(message->error_class && message->error_text);
		return;
	}
	if (qmp_migration_info_parse(message->return_value, &info) == 0)
		assert(strlen(info.error) < sizeof(info.error));
	if (qmp_vm_status_parse(message->return_value, &status) == 0)
		assert(status.state < QMP_RUN_STATE_COUNT);
	check_virtio(message->return_value);
}

/* Takes all messages, and sends a little. Returns what ended it. */
static int drain(struct qmp_session *session, char *tokens)
{
	struct qmp_message message;
	size_t unsent;
	int r;

	while ((r = qmp_session_next(session, &message)) > 0) {
		if (message.kind == QMP_MESSAGE_EVENT)
			check_event(&message.event);
		else if (message.kind != QMP_MESSAGE_READY)
			check_answer(&message, tokens);
	}
	(void) qmp_session_to_send(session, &unsent);
	assert(r == 0 || unsent == 0);
	qmp_session_sent(session, unsent / 2);
	return r;
}

static void hear(const char *data, size_t size, size_t step)
{
	_cleanup_(qmp_session_freep) struct qmp_session *session = qmp_session_new();
	char tokens[ASKED] = {0};
	int r = 0;

	for (size_t i = 0; session && i < ASKED; i++)
		ask(session, &tokens[i]);
	while (session && size > 0) {
		size_t now = step == 0 || step > size ? size : step;
		int received = qmp_session_receive(session, data, now),
		    drained = drain(session, tokens);

		assert(r == 0 || drained == r); /* a failure stays */
		assert(received == 0 || drained == received);
		r = drained;
		data += now;
		size -= now;
	}
}

static void try_details(const char *data, size_t size)
{
	_cleanup_free_ char *details = strndup(data, size);

	for (unsigned kind = 0; details && kind < QMP_EVENT_KIND_COUNT; kind++) {
		struct qmp_event event;

		if (qmp_event_from_parts(qmp_event_kind_name(kind), 1, 2, details, &event) == 0)
			check_event(&event);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	hear((const char *) data + 1, size - 1, data[0]);
	try_details((const char *) data + 1, size - 1);
	return 0;
}
