// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nva/digest.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Both halves of the 128-bit product. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

/* 2^64 over the golden ratio, and over the root of 2: odd, with about half of their bits set. */
static const uint64_t k1 = UINT64_C(0x9e3779b97f4a7c15), k2 = UINT64_C(0xb504f333f9de6485);

/* Never a product with zero, which would lose what came before. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
	return fold((hash ^ word) + k2, k1) + hash;
}

static uint64_t word_of(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return be64toh(word);
}

static uint64_t word_of_mac(struct mac mac)
{
	uint8_t bytes[8] = { 0 };

	memcpy(bytes + 2, mac.octet, MAC_SIZE);
	return word_of(bytes);
}

/* As 16 bytes: IPv4 as RFC 4291 section 2.5.5.2 maps it. */
static uint64_t mix_ip(uint64_t hash, struct ip ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t bytes[16];

	if (ip.family == AF_INET) {
		memcpy(bytes, mapped, sizeof(mapped));
		memcpy(bytes + sizeof(mapped), ip.octet, 4);
	} else {
		memcpy(bytes, ip.octet, sizeof(bytes));
	}
	return mix(mix(hash, word_of(bytes)), word_of(bytes + 8));
}

uint32_t digest_leaf(struct mac mac)
{
	return (uint32_t) (mix(0, word_of_mac(mac)) >> 48);
}

uint64_t digest_hash_identity(struct mac mac, uint32_t flags, uint64_t generation, struct uuid vm,
			      struct ip vtep)
{
	uint64_t hash = mix(mix(k1, word_of_mac(mac)), flags);

	hash = mix(hash, generation);
	hash = mix(mix(hash, word_of(vm.octet)), word_of(vm.octet + 8));
	return mix_ip(hash, vtep);
}

uint64_t digest_hash_address(struct mac mac, struct ip ip)
{
	return mix_ip(mix(k2, word_of_mac(mac)), ip);
}

uint64_t digest_hash(const struct mapping *mapping)
{
	uint64_t hash = digest_hash_identity(mapping->mac, mapping->flags, mapping->generation,
					     mapping->vm, mapping->vtep);

	for (size_t i = 0; i < mapping->ip_count; i++)
		hash += digest_hash_address(mapping->mac, mapping->ips[i]);
	return hash;
}

void digest_add(struct digest *digest, uint32_t leaf, uint64_t hash)
{
	digest->buckets[leaf / DIGEST_FANOUT] += hash;
	if (digest->leaves)
		digest->leaves[leaf] += hash;
}

void digest_clear(struct digest *digest)
{
	free(digest->leaves);
	*digest = (struct digest){ { 0 } };
}

void digest_write(const uint64_t *sums, size_t count, uint8_t *ret_bytes)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t sum = htobe64(sums[i]);

		memcpy(ret_bytes + i * sizeof(sum), &sum, sizeof(sum));
	}
}

size_t digest_compare(const uint64_t *sums, const uint8_t *theirs, size_t count, uint8_t *bits,
		      size_t first)
{
	size_t different = 0;

	for (size_t i = 0; i < count; i++) {
		size_t bit = first + i;

		if (word_of(theirs + i * DIGEST_SUM_SIZE) == sums[i])
			continue;
		bits[bit / 8] |= (uint8_t) (1 << bit % 8);
		different++;
	}
	return different;
}
