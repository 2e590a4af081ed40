// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/server_store.h"

#include <errno.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/json.h"
#include "nva/store_file.h"

int server_store_open(const struct nva_config *config, bool read_only, struct store **ret_store,
		      char *reterr_message)
{
	const struct store_file_options options = {
		.path = config->store_path,
		.read_only = read_only,
	};

	*ret_store = NULL;
	switch (config->store) {
	case NVA_STORE_FILE:
		return store_file_open(&options, ret_store, reterr_message);
	case NVA_STORE_ETCD:
		return store_etcd_open(&config->etcd, config->name, ret_store, reterr_message);
	case NVA_STORE_NONE:
		break;
	}
	return 0;
}

struct restoring {
	struct directory *directory;
	uint64_t now_us, now_s;
	char *message;
};

static int restore_change(void *userdata, const struct change *change)
{
	const struct restoring *restoring = userdata;
	const char *what = "out of memory";
	int r = directory_restore(restoring->directory, restoring->now_us, restoring->now_s, change,
				  &what);

	if (r == 0)
		return 0;
	(void) snprintf(restoring->message, STORE_MESSAGE_SIZE,
			"What the store holds does not fit together: %s (%s of %s in VNI %u). "
			"Nothing was changed. Put a good copy in its place, or move it away",
			what, change_kind_name(change->kind), change->name, change->mapping.vni);
	return r == -EINVAL ? -EBADMSG : r;
}

static struct restoring restoring_now(struct directory *directory, char *message)
{
	return (struct restoring){
		.directory = directory,
		.now_us = clock_monotonic_us(),
		.now_s = clock_realtime_us() / 1000000,
		.message = message,
	};
}

int server_store_apply(struct directory *directory, const struct change *change,
		       char *reterr_message)
{
	struct restoring restoring = restoring_now(directory, reterr_message);

	return restore_change(&restoring, change);
}

int server_store_restore(struct store *store, struct directory *directory, char *reterr_message)
{
	struct restoring restoring = restoring_now(directory, reterr_message);

	return store_load(store, restore_change, &restoring, reterr_message);
}

/* --- check --- */

static void say_what_is_there(const struct nva_config *config, const struct store *store,
			      const struct directory *directory, char *message)
{
	_cleanup_(json_unrefp) struct json_object *about = json_object_new_object();
	struct directory_counts counts;
	uint64_t torn = 0, bytes = 0, snapshot = 0;
	char end[96] = "";

	directory_count(directory, &counts);
	if (config->store == NVA_STORE_ETCD) {
		(void) snprintf(message, STORE_MESSAGE_SIZE,
				"What etcd holds below %s is good: %zu mappings and %zu withdrawn "
				"ones, %zu NVEs, "
				"%zu VNIs",
				config->etcd.prefix, counts.mappings, counts.tombstones,
				counts.nves, counts.vnis);
		return;
	}
	if (about && store_describe(store, about) == 0) {
		(void) json_get_u64(about, "torn_bytes", &torn);
		(void) json_get_u64(about, "log_bytes", &bytes);
		(void) json_get_u64(about, "snapshot_bytes", &snapshot);
	}
	if (torn > 0)
		(void) snprintf(end, sizeof(end),
				"; its last %llu bytes are a write that was never finished, nor "
				"acknowledged",
				(unsigned long long) torn);
	(void) snprintf(message, STORE_MESSAGE_SIZE,
			"The store %s is good: %zu mappings and %zu withdrawn ones, %zu NVEs, %zu "
			"VNIs; a snapshot of %llu bytes, a log of %llu%s",
			config->store_path, counts.mappings, counts.tombstones, counts.nves,
			counts.vnis, (unsigned long long) snapshot, (unsigned long long) bytes,
			end);
}

int server_store_check(const struct nva_config *config, char *message)
{
	const struct directory_config empty = { .incarnation = 1, .limits = config->limits };
	_cleanup_(directory_freep) struct directory *directory = NULL;
	_cleanup_(store_freep) struct store *store = NULL;
	int r = server_store_open(config, true, &store, message);

	if (r == -ENOENT) {
		(void) snprintf(message, STORE_MESSAGE_SIZE,
				"There is no store at %s yet: the NVA will make it",
				config->store_path);
		return 0;
	}
	if (r == 0 && !store)
		(void) snprintf(message, STORE_MESSAGE_SIZE, "store = none: nothing is kept");
	if (r < 0 || !store)
		return r;
	if (directory_new(&empty, clock_monotonic_us(), &directory) < 0) {
		(void) snprintf(message, STORE_MESSAGE_SIZE, "out of memory");
		return -ENOMEM;
	}
	r = server_store_restore(store, directory, message);
	if (r == 0)
		say_what_is_there(config, store, directory, message);
	return r;
}
