/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/consents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct consents {
	struct consent waiting[CONSENTS_MAX]; /* the oldest first */
	size_t count;
};

struct consents *consents_new(void)
{
	return calloc(1, sizeof(struct consents));
}

struct consents *consents_free(struct consents *consents)
{
	free(consents);
	return NULL;
}

static bool is_same(const struct consent *a, const struct consent *b)
{
	return a->id == b->id && a->vni == b->vni && mac_cmp(a->mac, b->mac) == 0;
}

int consents_add(struct consents *consents, const struct consent *consent)
{
	for (size_t i = 0; i < consents->count; i++)
		if (is_same(&consents->waiting[i], consent))
			return 0;
	if (consents->count == CONSENTS_MAX)
		return -ENOSPC;
	consents->waiting[consents->count++] = *consent;
	return 0;
}

void consents_forget(struct consents *consents, uint32_t vni, struct mac mac)
{
	size_t kept = 0;

	for (size_t i = 0; i < consents->count; i++)
		if (consents->waiting[i].vni != vni || mac_cmp(consents->waiting[i].mac, mac) != 0)
			consents->waiting[kept++] = consents->waiting[i];
	consents->count = kept;
}

void consents_clear(struct consents *consents)
{
	consents->count = 0;
}

bool consents_take(struct consents *consents, struct consent *ret_consent)
{
	if (consents->count == 0)
		return false;
	*ret_consent = consents->waiting[0];
	consents->count--;
	memmove(consents->waiting, consents->waiting + 1,
		consents->count * sizeof(*consents->waiting));
	return true;
}
