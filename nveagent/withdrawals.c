/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/withdrawals.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

struct withdrawal {
	struct {
		uint32_t vni;
		uint8_t mac[MAC_SIZE];
		uint8_t zero[2];
	} key;
	uint64_t session; /* in which it was said */
	UT_hash_handle hh;
};

struct withdrawals {
	struct withdrawal *items; /* oldest first */
	uint64_t session;
};

static struct withdrawal *find(const struct withdrawals *withdrawals, uint32_t vni, struct mac mac)
{
	struct withdrawal key = { .key = { .vni = vni } }, *item = NULL;

	memcpy(key.key.mac, mac.octet, MAC_SIZE);
	HASH_FIND(hh, withdrawals->items, &key.key, sizeof(key.key), item);
	return item;
}

static void drop(struct withdrawals *withdrawals, struct withdrawal *item)
{
	HASH_DEL(withdrawals->items, item);
	free(item);
}

struct withdrawals *withdrawals_new(void)
{
	return calloc(1, sizeof(struct withdrawals));
}

struct withdrawals *withdrawals_free(struct withdrawals *withdrawals)
{
	while (withdrawals && withdrawals->items)
		drop(withdrawals, withdrawals->items);
	free(withdrawals);
	return NULL;
}

int withdrawals_add(struct withdrawals *withdrawals, uint32_t vni, struct mac mac)
{
	struct withdrawal *item;

	withdrawals_remove(withdrawals, vni, mac); /* it is the newest now */
	if (HASH_COUNT(withdrawals->items) >= WITHDRAWALS_MAX)
		drop(withdrawals, withdrawals->items);
	item = calloc(1, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->session = withdrawals->session;
	item->key.vni = vni;
	memcpy(item->key.mac, mac.octet, MAC_SIZE);
	HASH_ADD(hh, withdrawals->items, key, sizeof(item->key), item);
	return 0;
}

void withdrawals_begin_session(struct withdrawals *withdrawals)
{
	withdrawals->session++;
}

void withdrawals_remove(struct withdrawals *withdrawals, uint32_t vni, struct mac mac)
{
	struct withdrawal *item = find(withdrawals, vni, mac);

	if (item)
		drop(withdrawals, item);
}

bool withdrawals_has(const struct withdrawals *withdrawals, uint32_t vni, struct mac mac)
{
	return find(withdrawals, vni, mac) != NULL;
}

void withdrawals_check(struct withdrawals *withdrawals, const struct vn *vn, struct ip vtep,
		       void (*again)(void *userdata, const struct mapping *mapping), void *userdata)
{
	struct withdrawal *item, *next;

	HASH_ITER(hh, withdrawals->items, item, next) {
		struct mapping mapping;
		struct mac mac;

		if (item->key.vni != vn_vni(vn) || item->session == withdrawals->session)
			continue;
		memcpy(mac.octet, item->key.mac, MAC_SIZE);
		if (!vn_find(vn, mac, &mapping) || ip_cmp(mapping.vtep, vtep) != 0) {
			drop(withdrawals, item);
			continue;
		}
		item->session = withdrawals->session;
		again(userdata, &mapping);
	}
}

size_t withdrawals_count(const struct withdrawals *withdrawals)
{
	return HASH_COUNT(withdrawals->items);
}
