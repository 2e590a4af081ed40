/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vn_table.c - the storage of a VN: places by MAC, claims by address, VTEPs by number. */
#include <errno.h>
#include <string.h>

#include "nveagent/vn_private.h"

static uint64_t place_hash(const void *item, uint64_t seed)
{
	return pool_hash(&((const struct place *) item)->mac, sizeof(struct mac), seed);
}

static uint64_t claim_hash(const void *item, uint64_t seed)
{
	return pool_hash(((const struct claim *) item)->octet, sizeof(((struct claim *) 0)->octet),
			 seed);
}

void vn_table_init(struct vn *vn)
{
	vn->place_pool.item_size = sizeof(struct place);
	vn->claim_pool.item_size = sizeof(struct claim);
	vn->places = (struct pool_index){
		.pool = &vn->place_pool,
		.next_offset = offsetof(struct place, next),
		.hash = place_hash,
	};
	vn->claims = (struct pool_index){
		.pool = &vn->claim_pool,
		.next_offset = offsetof(struct claim, next),
		.hash = claim_hash,
	};
	pool_index_init(&vn->places);
	pool_index_init(&vn->claims);
}

void vn_table_clear(struct vn *vn)
{
	digest_clear(&vn->digest);
	pool_index_clear(&vn->places);
	pool_index_clear(&vn->claims);
	pool_drop(&vn->place_pool);
	pool_drop(&vn->claim_pool);
	HASH_CLEAR(hh, vn->vtep_index);
	for (size_t i = 0; i < vn->vtep_count; i++)
		free(vn->vteps[i]);
	free(vn->vteps);
}

/* --- places --- */

uint32_t place_find(const struct vn *vn, struct mac mac)
{
	uint32_t number =
		pool_index_first(&vn->places, pool_hash(&mac, sizeof(mac), vn->places.seed));

	while (number && mac_cmp(place_at(vn, number)->mac, mac) != 0)
		number = *pool_index_next(&vn->places, number);
	return number;
}

uint32_t place_add(struct vn *vn, struct mac mac)
{
	uint32_t number = place_find(vn, mac);

	if (number || vn->places.count >= (1u << VN_PLACE_BITS) - 1)
		return number;
	number = pool_take(&vn->place_pool);
	if (!number)
		return 0;
	place_at(vn, number)->mac = mac;
	if (pool_index_put(&vn->places, number) < 0) {
		pool_give(&vn->place_pool, number);
		return 0;
	}
	place_at(vn, number)->known = true;
	return number;
}

void place_touch(struct vn *vn, uint32_t number)
{
	struct place *place = place_at(vn, number);

	if (place->dirty)
		return;
	place->dirty = true;
	place->next_dirty = vn->dirty_places;
	vn->dirty_places = number;
}

void place_drop_if_empty(struct vn *vn, uint32_t number)
{
	const struct place *place = place_at(vn, number);

	if (place->mapped || place->pin || place->held || place->dirty || place->claims ||
	    place->theirs_bridge || place->theirs_vxlan || place->told_bridge == TOLD_THIS ||
	    place->told_bridge == TOLD_OTHER || place->told_vxlan != TOLD_NOTHING)
		return;
	pool_index_remove(&vn->places, number);
	place_at(vn, number)->known = false;
	pool_give(&vn->place_pool, number);
}

void place_each(struct vn *vn, void (*each)(struct vn *vn, uint32_t number, void *userdata),
		void *userdata)
{
	for (uint32_t number = 1; number <= vn->place_pool.used; number++)
		if (place_at(vn, number)->known)
			each(vn, number, userdata);
}

void claim_each(struct vn *vn, void (*each)(struct vn *vn, uint32_t number, void *userdata),
		void *userdata)
{
	for (uint32_t number = 1; number <= vn->claim_pool.used; number++)
		if (claim_at(vn, number)->known)
			each(vn, number, userdata);
}

/* --- claims --- */

static void set_key(struct claim *claim, struct ip ip)
{
	if (ip.family == AF_INET) {
		memset(claim->octet + 10, 0xff, 2); /* RFC 4291 section 2.5.5.2 */
		memcpy(claim->octet + 12, ip.octet, 4);
	} else {
		memcpy(claim->octet, ip.octet, sizeof(claim->octet));
	}
	claim->v4 = ip.family == AF_INET;
}

struct ip claim_ip(const struct claim *claim)
{
	struct ip ip = { .family = claim->v4 ? AF_INET : AF_INET6 };

	memcpy(ip.octet, claim->octet + (claim->v4 ? 12 : 0), ip_size(ip));
	return ip;
}

static uint32_t same_key(const struct vn *vn, uint32_t number, const struct claim *key)
{
	for (; number; number = claim_at(vn, number)->next) {
		const struct claim *claim = claim_at(vn, number);

		if (claim->v4 == key->v4 &&
		    memcmp(claim->octet, key->octet, sizeof(key->octet)) == 0)
			break;
	}
	return number;
}

uint32_t claim_find(const struct vn *vn, struct ip ip)
{
	struct claim key = { 0 };

	set_key(&key, ip);
	return same_key(vn, pool_index_first(&vn->claims, claim_hash(&key, vn->claims.seed)), &key);
}

/* Most addresses have one claim: what is in the kernel is found without the index then. */
uint32_t claim_first(const struct vn *vn, uint32_t number)
{
	const struct claim *claim = claim_at(vn, number);

	return claim->alone ? number : claim_find(vn, claim_ip(claim));
}

uint32_t claim_next(const struct vn *vn, uint32_t number)
{
	const struct claim *claim = claim_at(vn, number);

	return claim->alone ? 0 : same_key(vn, claim->next, claim);
}

void claim_touch(struct vn *vn, uint32_t number)
{
	struct claim *claim = claim_at(vn, number);

	if (claim->dirty)
		return;
	claim->dirty = true;
	claim->next_dirty = vn->dirty_claims;
	vn->dirty_claims = number;
}

static bool is_empty(const struct claim *claim)
{
	return !claim->place && !claim->dirty && claim->told == TOLD_NOTHING;
}

static void forget_released(struct vn *vn, uint32_t number)
{
	struct claim *claim = claim_at(vn, number);

	claim->released = false;
	if (!is_empty(claim))
		return;
	pool_index_remove(&vn->claims, number);
	claim->known = false;
	pool_give(&vn->claim_pool, number);
}

void claim_drop_if_empty(struct vn *vn, uint32_t number)
{
	struct claim *claim = claim_at(vn, number);
	uint32_t *oldest = &vn->released[vn->released_at];

	if (!is_empty(claim) || claim->released)
		return;
	if (*oldest)
		forget_released(vn, *oldest);
	*oldest = number;
	claim->released = true;
	vn->released_at = (vn->released_at + 1) % VN_RELEASED_MAX;
}

/* From @number on a claim by nobody, if there is one: it may know what the kernel was told. */
static uint32_t find_unclaimed(const struct vn *vn, uint32_t number)
{
	while (number && (claim_at(vn, number)->place || claim_at(vn, number)->told == TOLD_TAKEN))
		number = claim_next(vn, number);
	return number;
}

uint32_t claim_add(struct vn *vn, struct ip ip, uint32_t first)
{
	uint32_t number = pool_take(&vn->claim_pool);

	if (!number)
		return 0;
	set_key(claim_at(vn, number), ip);
	if (pool_index_put(&vn->claims, number) < 0) {
		pool_give(&vn->claim_pool, number);
		return 0;
	}
	claim_at(vn, number)->known = true;
	claim_at(vn, number)->alone = !first;
	if (first)
		claim_at(vn, first)->alone = false; /* of several, none is */
	return number;
}

/* Another MAC had, or has, the address: guests elsewhere may still believe that. */
static void note_news(struct vn *vn, struct ip ip, uint32_t other, struct mac mac)
{
	if (vn->synced && other && claim_at(vn, other)->told != TOLD_TAKEN &&
	    vn->news_count < VN_NEWS_MAX)
		vn->news[vn->news_count++] = (struct vn_news){ ip, mac };
}

static int claim_make(struct vn *vn, uint32_t place, struct ip ip)
{
	uint32_t first = claim_find(vn, ip), number = find_unclaimed(vn, first);
	struct claim *claim;

	note_news(vn, ip, first, place_at(vn, place)->mac);
	if (!number)
		number = claim_add(vn, ip, first);
	if (!number)
		return -ENOMEM;
	claim = claim_at(vn, number);
	if (claim->told == TOLD_THIS)
		claim->told = TOLD_OTHER; /* it was another MAC's */
	claim->place = place;
	claim->next_of_place = place_at(vn, place)->claims;
	place_at(vn, place)->claims = number;
	claim_touch(vn, number);
	return 0;
}

static bool has_ip(const struct ip *list, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_cmp(list[i], ip) == 0)
			return true;
	return false;
}

static bool claims_ip(const struct vn *vn, const struct place *place, struct ip ip)
{
	for (uint32_t number = place->claims; number; number = claim_at(vn, number)->next_of_place)
		if (ip_cmp(claim_ip(claim_at(vn, number)), ip) == 0)
			return true;
	return false;
}

int claims_set(struct vn *vn, uint32_t place_number, const struct ip *ips, size_t count)
{
	struct place *place = place_at(vn, place_number);
	uint32_t *link = &place->claims;

	while (*link) {
		struct claim *claim = claim_at(vn, *link);
		uint32_t number = *link;

		if (has_ip(ips, count, claim_ip(claim))) {
			link = &claim->next_of_place;
			continue;
		}
		*link = claim->next_of_place;
		claim->place = 0;
		claim_touch(vn, number);
	}
	for (size_t i = 0; i < count; i++)
		if (!claims_ip(vn, place, ips[i]) && claim_make(vn, place_number, ips[i]) < 0)
			return -ENOMEM;
	return 0;
}

void claims_retell(struct vn *vn, const struct place *place)
{
	for (uint32_t number = place->claims; number;
	     number = claim_at(vn, number)->next_of_place) {
		struct claim *claim = claim_at(vn, number);

		if (claim->told == TOLD_THIS)
			claim->told = TOLD_OTHER;
		claim_touch(vn, number);
	}
}

uint8_t claims_get(const struct vn *vn, const struct place *place, struct ip *ips)
{
	uint32_t number = place->claims;
	uint8_t count = 0;

	for (; number && count < MAPPING_IPS_MAX; number = claim_at(vn, number)->next_of_place)
		ips[count++] = claim_ip(claim_at(vn, number));
	/* The newest was put first. */
	for (uint8_t i = 0; i < count / 2; i++) {
		struct ip last = ips[count - 1 - i];

		ips[count - 1 - i] = ips[i];
		ips[i] = last;
	}
	return count;
}

/* --- VTEPs --- */

static struct vtep *vtep_add(struct vn *vn, struct ip ip)
{
	struct vtep **vteps = reallocarray(vn->vteps, vn->vtep_count + 1, sizeof(*vteps));
	struct vtep *vtep = vteps ? calloc(1, sizeof(*vtep)) : NULL;

	if (vteps)
		vn->vteps = vteps;
	if (!vtep)
		return NULL;
	vteps[vn->vtep_count++] = vtep;
	vtep->ip = ip;
	vtep->number = (uint16_t) vn->vtep_count;
	HASH_ADD(hh, vn->vtep_index, ip, sizeof(vtep->ip), vtep);
	return vtep;
}

int vtep_number(struct vn *vn, struct ip ip)
{
	struct vtep *vtep = NULL;

	if (ip_is_none(ip))
		return 0;
	HASH_FIND(hh, vn->vtep_index, &ip, sizeof(ip), vtep);
	if (!vtep && vn->vtep_count == VN_VTEPS_MAX)
		return -ENOSPC;
	if (!vtep)
		vtep = vtep_add(vn, ip);
	return vtep ? vtep->number : -ENOMEM;
}

struct ip vtep_ip(const struct vn *vn, uint16_t number)
{
	return number ? vn->vteps[number - 1]->ip : (struct ip){ 0 };
}
