// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_answer.c - one reader for all answers: the gateway leaves out whatever is zero, so what kind
 * of answer it is shows only in what is there.
 */
#include "nva/etcd_message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/json.h"

/* --- members that may be missing; each returns 0 or -EBADMSG --- */

static int get_number(struct json_object *object, const char *name, uint64_t *ret_number)
{
	const char *text, *next;
	uint64_t number = 0;
	int r = json_get_string(object, name, &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || !*text)
		return -EBADMSG;
	for (next = text; *next >= '0' && *next <= '9'; next++)
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t) (*next - '0'), &number))
			return -EBADMSG;
	if (*next)
		return -EBADMSG;
	*ret_number = number;
	return 0;
}

static int get_bool(struct json_object *object, const char *name, bool *ret_value)
{
	int r = json_get_bool(object, name, ret_value);

	return r == -ENOENT ? 0 : r < 0 ? -EBADMSG : 0;
}

/* -ENOENT where there is no such member. */
static int optional(int r)
{
	return r == 0 || r == -ENOENT ? r : -EBADMSG;
}

/* One NUL more than there are bytes. 0, -EBADMSG or -ENOMEM. */
static int get_bytes(struct json_object *object, const char *name, uint8_t **ret_data,
		     size_t *ret_size)
{
	_cleanup_free_ uint8_t *data = NULL;
	const char *text;
	size_t length;
	int r = optional(json_get_string(object, name, &text));

	*ret_data = NULL;
	*ret_size = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	length = strlen(text);
	data = malloc(length / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;
	r = base64_decode(text, length, data, ret_size);
	if (r < 0)
		return r;
	data[*ret_size] = '\0';
	*ret_data = TAKE_PTR(data);
	return 0;
}

/* --- keys and values --- */

static void kv_clear(struct etcd_kv *kv)
{
	free(kv->key);
	free(kv->value);
}

/* A key can be any bytes. What no text of ours is shall not become one: with a NUL, or too long. */
static void make_text(char *key, size_t *size)
{
	if (*size > ETCD_KEY_MAX) {
		*size = ETCD_KEY_MAX;
		key[*size] = '\0';
	}
	for (size_t i = 0; i < *size; i++)
		if (!key[i])
			key[i] = '\1';
}

static int read_kv(struct json_object *object, struct etcd_kv *kv)
{
	size_t key_size;
	int r = get_bytes(object, "key", (uint8_t **) &kv->key, &key_size);

	if (r < 0)
		return r;
	if (!kv->key || key_size == 0)
		return -EBADMSG;
	make_text(kv->key, &key_size);
	r = get_bytes(object, "value", &kv->value, &kv->size);
	if (r == 0)
		r = get_number(object, "mod_revision", &kv->revision);
	return r < 0 ? r : get_number(object, "lease", &kv->lease);
}

/* Room for @count more. */
static int make_room(struct etcd_answer *answer, size_t count)
{
	struct etcd_kv *kvs;

	if (count == 0)
		return 0;
	kvs = reallocarray(answer->kvs, answer->kv_count + count, sizeof(*kvs));
	if (!kvs)
		return -ENOMEM;
	answer->kvs = kvs;
	return 0;
}

static int take_kv(struct json_object *object, struct etcd_answer *answer)
{
	struct etcd_kv kv = { 0 };
	int r = read_kv(object, &kv);

	if (r < 0)
		kv_clear(&kv);
	else
		answer->kvs[answer->kv_count++] = kv;
	return r;
}

static int take_event(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *kv;
	const char *type = "PUT";
	int r = optional(json_get_string(object, "type", &type));

	if (r == -EBADMSG || json_get_object(object, "kv", &kv) < 0 ||
	    (strcmp(type, "PUT") != 0 && strcmp(type, "DELETE") != 0))
		return -EBADMSG;
	r = take_kv(kv, answer);
	if (r == 0)
		answer->kvs[answer->kv_count - 1].deleted = strcmp(type, "DELETE") == 0;
	return r;
}

/* Each item of the list @name, which may be missing. */
static int take_list(struct json_object *object, const char *name,
		     int (*take)(struct json_object *item, struct etcd_answer *answer),
		     struct etcd_answer *answer)
{
	struct json_object *list;
	size_t count;
	int r = optional(json_get_array(object, name, &list));

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	count = json_object_array_length(list);
	r = make_room(answer, count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		r = json_object_is_type(item, json_type_object) ? take(item, answer) : -EBADMSG;
	}
	return r;
}

/* --- the parts --- */

static int read_header(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *header;
	int r = optional(json_get_object(object, "header", &header));

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = get_number(header, "revision", &answer->revision);
	return r < 0 ? r : get_number(header, "member_id", &answer->member);
}

static int read_responses(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *list, *range;
	int r = optional(json_get_array(object, "responses", &list));

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		if (!json_object_is_type(item, json_type_object))
			return -EBADMSG;
		r = optional(json_get_object(item, "response_range", &range));
		if (r == 0)
			r = take_list(range, "kvs", take_kv, answer);
		else if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* Of a stream the error is an object, else a text beside its code. */
static int read_error(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *inner = object;
	const char *text = "an error without a text";
	int64_t code = ETCD_ERROR_UNKNOWN;
	int r = json_get_object(object, "error", &inner);

	if (r == -ENOENT)
		return 0;
	(void) json_get_string(inner, "message", &text);
	if (json_get_i64(inner, "code", &code) < 0)
		(void) json_get_i64(inner, "grpc_code", &code);
	answer->error = code >= 1 && code <= 16 ? (int) code : ETCD_ERROR_UNKNOWN;
	(void) snprintf(answer->error_text, sizeof(answer->error_text), "%s", text);
	return 0;
}

static int read_body(struct json_object *object, struct etcd_answer *answer)
{
	const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {
		{ "ID", &answer->lease },
		{ "TTL", &answer->ttl_s },
		{ "leader", &answer->raft_leader },
		{ "compact_revision", &answer->compact_revision },
	};
	const struct {
		const char *name;
		bool *value;
	} bools[] = {
		{ "succeeded", &answer->succeeded },
		{ "more", &answer->more },
		{ "created", &answer->created },
		{ "canceled", &answer->canceled },
	};
	int r = read_header(object, answer);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = get_number(object, numbers[i].name, numbers[i].number);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(bools); i++)
		r = get_bool(object, bools[i].name, bools[i].value);
	if (r == 0)
		r = take_list(object, "kvs", take_kv, answer);
	if (r == 0)
		r = take_list(object, "events", take_event, answer);
	return r == 0 ? read_responses(object, answer) : r;
}

int etcd_answer_read(const char *text, size_t size, struct etcd_answer *ret_answer)
{
	_cleanup_(etcd_answer_clear) struct etcd_answer answer = { 0 };
	_cleanup_(json_unrefp) struct json_object *object = NULL;
	struct json_object *body;
	int r = json_parse_object(text, size, &object);

	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	r = optional(json_get_object(object, "result", &body));
	if (r == -ENOENT)
		body = object;
	else if (r < 0)
		return r;
	r = read_error(object, &answer);
	if (r == 0 && !answer.error)
		r = read_body(body, &answer);
	if (r < 0)
		return r;
	*ret_answer = answer;
	answer = (struct etcd_answer){ 0 };
	return 0;
}

void etcd_answer_clear(struct etcd_answer *answer)
{
	for (size_t i = 0; i < answer->kv_count; i++)
		kv_clear(&answer->kvs[i]);
	free(answer->kvs);
	*answer = (struct etcd_answer){ 0 };
}

const struct etcd_kv *etcd_answer_find(const struct etcd_answer *answer, const char *key)
{
	for (size_t i = 0; i < answer->kv_count; i++)
		if (!answer->kvs[i].deleted && strcmp(answer->kvs[i].key, key) == 0)
			return &answer->kvs[i];
	return NULL;
}
