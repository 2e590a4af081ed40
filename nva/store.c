// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/store.h"

#include <errno.h>

#include "common/json.h"

int store_load(struct store *store, int (*each)(void *userdata, const struct change *change),
	       void *userdata, char *reterr_message)
{
	return store ? store->class->load(store, each, userdata, reterr_message) : 0;
}

int store_append(struct store *store, const struct change *change)
{
	return store ? store->class->append(store, change) : 0;
}

uint64_t store_commit(struct store *store)
{
	return store ? store->class->commit(store) : 0;
}

uint64_t store_confirm(struct store *store)
{
	if (!store || !store->class->confirm)
		return store_commit(store);
	return store->class->confirm(store);
}

uint64_t store_durable(const struct store *store)
{
	return store ? store->class->durable(store) : 0;
}

int store_fd(const struct store *store)
{
	return store ? store->class->fd(store) : -1;
}

void store_dispatch(struct store *store)
{
	if (store)
		store->class->dispatch(store);
}

enum store_state store_state(const struct store *store, const char **ret_text)
{
	const char *text = "";
	enum store_state state = store ? store->class->state(store, &text) : STORE_WORKS;

	if (ret_text)
		*ret_text = text;
	return state;
}

const char *store_elsewhere(const struct store *store)
{
	return store && store->class->elsewhere ? store->class->elsewhere(store) : NULL;
}

int store_describe(const struct store *store, struct json_object *object)
{
	static const char *const names[] = {
		[STORE_WORKS] = "works",
		[STORE_WAITS] = "waits",
		[STORE_FAILED] = "failed",
	};
	const char *text;

	if (!store)
		return json_add_string(object, "kind", "none");
	if (json_add_string(object, "state", names[store_state(store, &text)]) < 0 ||
	    (text[0] && json_add_string(object, "error", text) < 0))
		return -ENOMEM;
	return store->class->describe(store, object);
}

struct store *store_free(struct store *store)
{
	return store ? store->class->free(store) : NULL;
}
