// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/etcd_message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"

/* A text that grows; whatever fails shows when it is closed. */
struct text {
	FILE *file;
	char *data;
	size_t size;
};

static bool text_open(struct text *text)
{
	text->file = open_memstream(&text->data, &text->size);
	return text->file != NULL;
}

static char *text_close(struct text *text)
{
	bool bad = ferror(text->file);

	if (fclose(text->file) != 0 || bad) {
		free(text->data);
		return NULL;
	}
	return text->data;
}

static void put_bytes(FILE *file, const char *name, const void *data, size_t size)
{
	enum { STEP = 3 * 256 };
	char encoded[BASE64_SIZE(STEP)];
	const uint8_t *bytes = data;

	fprintf(file, "\"%s\":\"", name);
	for (size_t at = 0; at < size; at += STEP) {
		size_t part = size - at < STEP ? size - at : STEP;

		base64_encode(bytes + at, part, encoded);
		(void) fwrite(encoded, 1, BASE64_SIZE(part), file);
	}
	fputc('"', file);
}

static void put_key(FILE *file, const char *name, const char *key)
{
	put_bytes(file, name, key, strlen(key));
}

static void put_keys(FILE *file, const char *key, const char *end)
{
	put_key(file, "key", key);
	if (end) {
		fputc(',', file);
		put_key(file, "range_end", end);
	}
}

char *etcd_range_request(const char *key, const char *end, uint64_t revision, unsigned limit)
{
	struct text text;

	if (!text_open(&text))
		return NULL;
	fputc('{', text.file);
	put_keys(text.file, key, end);
	fprintf(text.file, ",\"revision\":\"%" PRIu64 "\",\"limit\":\"%u\"}", revision, limit);
	return text_close(&text);
}

char *etcd_watch_request(const char *key, const char *end, uint64_t revision)
{
	struct text text;

	if (!text_open(&text))
		return NULL;
	fputs("{\"create_request\":{", text.file);
	put_keys(text.file, key, end);
	fprintf(text.file, ",\"start_revision\":\"%" PRIu64 "\",\"progress_notify\":true}}",
		revision);
	return text_close(&text);
}

char *etcd_lease_grant_request(unsigned ttl_s)
{
	char *text;

	return asprintf(&text, "{\"TTL\":\"%u\"}", ttl_s) < 0 ? NULL : text;
}

char *etcd_lease_request(uint64_t lease)
{
	char *text;

	return asprintf(&text, "{\"ID\":\"%" PRIu64 "\"}", lease) < 0 ? NULL : text;
}

/* --- transactions --- */

enum section { NOWHERE, COMPARE, SUCCESS, FAILURE };

struct etcd_txn {
	struct text text;
	enum section section;
};

struct etcd_txn *etcd_txn_new(void)
{
	struct etcd_txn *txn = calloc(1, sizeof(*txn));

	if (txn && !text_open(&txn->text)) {
		free(txn);
		return NULL;
	}
	return txn;
}

struct etcd_txn *etcd_txn_free(struct etcd_txn *txn)
{
	if (!txn)
		return NULL;
	if (txn->text.file)
		free(text_close(&txn->text));
	free(txn);
	return NULL;
}

/* Begins an item of @section, and that first if it has not begun. */
static FILE *item(struct etcd_txn *txn, enum section section)
{
	static const char *const names[] = {
		[COMPARE] = "compare",
		[SUCCESS] = "success",
		[FAILURE] = "failure",
	};
	FILE *file = txn->text.file;

	assert(section >= txn->section);
	if (section == txn->section) {
		fputs(",{", file);
		return file;
	}
	fprintf(file, "%s\"%s\":[{", txn->section == NOWHERE ? "{" : "],", names[section]);
	txn->section = section;
	return file;
}

void etcd_txn_compare(struct etcd_txn *txn, const char *key, uint64_t revision)
{
	FILE *file = item(txn, COMPARE);

	put_key(file, "key", key);
	fprintf(file, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%" PRIu64 "\"}",
		revision);
}

void etcd_txn_put(struct etcd_txn *txn, const char *key, const void *value, size_t size,
		  uint64_t lease)
{
	FILE *file = item(txn, SUCCESS);

	fputs("\"request_put\":{", file);
	put_key(file, "key", key);
	fputc(',', file);
	put_bytes(file, "value", value, size);
	if (lease)
		fprintf(file, ",\"lease\":\"%" PRIu64 "\"", lease);
	fputs("}}", file);
}

void etcd_txn_delete(struct etcd_txn *txn, const char *key, const char *end)
{
	FILE *file = item(txn, SUCCESS);

	fputs("\"request_delete_range\":{", file);
	put_keys(file, key, end);
	fputs("}}", file);
}

static void put_read(FILE *file, const char *key)
{
	fputs("\"request_range\":{", file);
	put_keys(file, key, NULL);
	fputs("}}", file);
}

void etcd_txn_read(struct etcd_txn *txn, const char *key)
{
	put_read(item(txn, SUCCESS), key);
}

void etcd_txn_else_read(struct etcd_txn *txn, const char *key)
{
	put_read(item(txn, FAILURE), key);
}

char *etcd_txn_request(struct etcd_txn *txn)
{
	char *text;

	fputs(txn->section == NOWHERE ? "{}" : "]}", txn->text.file);
	text = text_close(&txn->text);
	txn->text.file = NULL;
	return text;
}
