/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vn_ask.c - what a VN knows, for whoever asks. */
#include "nveagent/vn_private.h"

bool vn_is_synced(const struct vn *vn)
{
	return vn->synced;
}

static void to_mapping(const struct vn *vn, const struct place *place, struct mapping *ret_mapping)
{
	*ret_mapping = (struct mapping){
		.vni = vn->vni,
		.mac = place->mac,
		.vtep = vtep_ip(vn, place->vtep),
		.generation = place->generation,
		.vm = place->vm,
		.flags = place->flags,
	};
	ret_mapping->ip_count = claims_get(vn, place, ret_mapping->ips);
}

bool vn_find(const struct vn *vn, struct mac mac, struct mapping *ret_mapping)
{
	uint32_t number = place_find(vn, mac);

	if (!number || !place_at(vn, number)->mapped)
		return false;
	to_mapping(vn, place_at(vn, number), ret_mapping);
	return true;
}

bool vn_is_named(const struct vn *vn, struct mac mac)
{
	uint32_t number = place_find(vn, mac);

	return number && place_at(vn, number)->mapped && !place_at(vn, number)->stale;
}

struct telling_each {
	void (*each)(void *userdata, const struct mapping *mapping);
	void *userdata;
};

static void tell_mapping(struct vn *vn, uint32_t number, void *userdata)
{
	const struct telling_each *telling = userdata;
	struct mapping mapping;

	if (!place_at(vn, number)->mapped)
		return;
	to_mapping(vn, place_at(vn, number), &mapping);
	telling->each(telling->userdata, &mapping);
}

void vn_each(const struct vn *vn, void (*each)(void *, const struct mapping *), void *userdata)
{
	struct telling_each telling = { each, userdata };

	place_each((struct vn *) vn, tell_mapping, &telling); /* never an object defined const */
}

bool vn_walk(const struct vn *vn, uint32_t *position, struct mapping *mappings, size_t room,
	     size_t *ret_count)
{
	size_t n = 0;

	for (size_t looks = 0; *position < vn->place_pool.used && n < room && looks < VN_LOOKS_MAX;
	     looks++) {
		const struct place *place = place_at(vn, ++*position);

		if (place->mapped) /* not one that was given back: it was not then */
			to_mapping(vn, place, &mappings[n++]);
	}
	*ret_count = n;
	return *position < vn->place_pool.used;
}

size_t vn_mapping_count(const struct vn *vn)
{
	return vn->mapping_count;
}

unsigned vn_resolve(const struct vn *vn, struct ip ip, struct mac *ret_mac)
{
	unsigned count = 0;

	for (uint32_t number = claim_find(vn, ip); number; number = claim_next(vn, number)) {
		const struct claim *claim = claim_at(vn, number);

		if (claim->place && count++ == 0)
			*ret_mac = place_at(vn, claim->place)->mac;
	}
	return count;
}

bool vn_is_remote(const struct vn *vn, struct mac mac)
{
	uint32_t number = place_find(vn, mac);
	const struct place *place = number ? place_at(vn, number) : NULL;

	return place && !place->pin && place->mapped && place->vtep &&
	       ip_cmp(vtep_ip(vn, place->vtep), vn->vtep) != 0;
}

bool vn_is_here(const struct vn *vn, struct mac mac)
{
	uint32_t number = place_find(vn, mac);
	const struct place *place = number ? place_at(vn, number) : NULL;

	return place &&
	       (place->pin || (place->mapped && ip_cmp(vtep_ip(vn, place->vtep), vn->vtep) == 0));
}

size_t vn_take_news(struct vn *vn, struct vn_news *news)
{
	size_t count = vn->news_count;

	memcpy(news, vn->news, count * sizeof(*news));
	vn->news_count = 0;
	return count;
}
