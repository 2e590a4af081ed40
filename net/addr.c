/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

static_assert(sizeof(struct mac) == MAC_SIZE, "MAC addresses are compared as bytes");
static_assert(sizeof(struct ip) == 17, "IP addresses are compared as bytes");

const struct mac mac_broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

/* --- numbers --- */

/* Digits only, at least one, nothing around them. Returns 0, -EINVAL or -ERANGE. */
static int decimal_from_text(const char *text, uint32_t max, uint32_t *ret_value)
{
	uint64_t value = 0;

	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	for (; *text; text++) {
		value = value * 10 + (uint64_t) (*text - '0');
		if (value > max)
			return -ERANGE;
	}
	*ret_value = (uint32_t) value;
	return 0;
}

int vni_from_text(const char *text, uint32_t *ret_vni)
{
	uint32_t vni;
	int r;

	r = decimal_from_text(text, VNI_MAX, &vni);
	if (r < 0)
		return r;
	if (vni == 0)
		return -ERANGE;
	*ret_vni = vni;
	return 0;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* --- MAC --- */

int mac_from_text(const char *text, struct mac *ret_mac)
{
	struct mac mac;

	if (strlen(text) != MAC_TEXT_SIZE - 1)
		return -EINVAL;

	for (size_t i = 0; i < MAC_SIZE; i++, text += 3) {
		int high = hex_digit(text[0]), low = hex_digit(text[1]);

		if (high < 0 || low < 0 || text[2] != (i + 1 < MAC_SIZE ? ':' : '\0'))
			return -EINVAL;
		mac.octet[i] = (uint8_t) (high << 4 | low);
	}
	*ret_mac = mac;
	return 0;
}

int mac_from_bytes(const void *data, size_t size, struct mac *ret_mac)
{
	if (size != MAC_SIZE)
		return -EINVAL;
	memcpy(ret_mac->octet, data, MAC_SIZE);
	return 0;
}

const char *mac_text(struct mac mac, char *buffer)
{
	const uint8_t *o = mac.octet;

	(void) snprintf(buffer, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", o[0], o[1], o[2],
			o[3], o[4], o[5]);
	return buffer;
}

int mac_cmp(struct mac a, struct mac b)
{
	return memcmp(&a, &b, sizeof(a));
}

bool mac_is_zero(struct mac mac)
{
	return mac_cmp(mac, (struct mac){ 0 }) == 0;
}

bool mac_is_group(struct mac mac)
{
	return mac.octet[0] & 1;
}

/* --- IP --- */

int ip_from_text(const char *text, struct ip *ret_ip)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct ip ip = { .family = families[i] };

		if (inet_pton(ip.family, text, ip.octet) == 1) {
			*ret_ip = ip;
			return 0;
		}
	}
	return -EINVAL;
}

int ip_from_bytes(const void *data, size_t size, struct ip *ret_ip)
{
	struct ip ip = { .family = size == 4 ? AF_INET : AF_INET6 };

	if (size != 4 && size != 16)
		return -EINVAL;
	memcpy(ip.octet, data, size);
	*ret_ip = ip;
	return 0;
}

size_t ip_size(struct ip ip)
{
	switch (ip.family) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	default:
		return 0;
	}
}

const char *ip_text(struct ip ip, char *buffer)
{
	if (!inet_ntop(ip.family, ip.octet, buffer, IP_TEXT_SIZE))
		(void) snprintf(buffer, IP_TEXT_SIZE, "-");
	return buffer;
}

int ip_cmp(struct ip a, struct ip b)
{
	return memcmp(&a, &b, sizeof(a));
}

bool ip_is_none(struct ip ip)
{
	return ip_size(ip) == 0;
}

/* True when the first @bits bits of @ip are those of @prefix. */
static bool starts_with(struct ip ip, const uint8_t *prefix, size_t bits)
{
	size_t bytes = bits / 8;
	uint8_t mask = (uint8_t) (0xff00 >> bits % 8);

	if (memcmp(ip.octet, prefix, bytes) != 0)
		return false;
	return mask == 0 || !((ip.octet[bytes] ^ prefix[bytes]) & mask);
}

struct ip_range {
	uint8_t family;
	uint8_t prefix[16];
	uint8_t bits;
};

static bool is_in(struct ip ip, const struct ip_range *range)
{
	return ip.family == range->family && starts_with(ip, range->prefix, range->bits);
}

/* Addresses that no single interface on a link owns. */
static const struct ip_range not_unicast[] = {
	{ AF_INET, { 0, 0, 0, 0 }, 32 },	 /* RFC 1122 section 3.2.1.3 (a) */
	{ AF_INET, { 127 }, 8 },		 /* RFC 1122 section 3.2.1.3 (g) */
	{ AF_INET, { 224 }, 4 },		 /* RFC 1112 section 4 */
	{ AF_INET, { 255, 255, 255, 255 }, 32 }, /* RFC 1122 section 3.2.1.3 (c) */
	{ AF_INET6, { 0 }, 128 },		 /* RFC 4291 section 2.5.2 */
	{ AF_INET6, { [15] = 1 }, 128 },	 /* RFC 4291 section 2.5.3 */
	{ AF_INET6, { 0xff }, 8 },		 /* RFC 4291 section 2.7 */
};

static const struct ip_range loopback[] = {
	{ AF_INET, { 127 }, 8 },	 /* RFC 1122 section 3.2.1.3 (g) */
	{ AF_INET6, { [15] = 1 }, 128 }, /* RFC 4291 section 2.5.3 */
};

static const struct ip_range link_local[] = {
	{ AF_INET, { 169, 254 }, 16 },	  /* RFC 3927 section 1 */
	{ AF_INET6, { 0xfe, 0x80 }, 10 }, /* RFC 4291 section 2.5.6 */
};

static bool is_in_any(struct ip ip, const struct ip_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_in(ip, &ranges[i]))
			return true;
	return false;
}

bool ip_is_unicast(struct ip ip)
{
	return !ip_is_none(ip) && !is_in_any(ip, not_unicast, ARRAY_SIZE(not_unicast));
}

bool ip_is_link_local(struct ip ip)
{
	return is_in_any(ip, link_local, ARRAY_SIZE(link_local));
}

struct ip ip_link_local_of(struct mac mac)
{
	struct ip ip = { AF_INET6, { 0xfe, 0x80, [11] = 0xff, [12] = 0xfe } };

	memcpy(ip.octet + 8, mac.octet, 3);
	memcpy(ip.octet + 13, mac.octet + 3, 3);
	ip.octet[8] ^= 0x02; /* the universal/local bit */
	return ip;
}

bool ip_is_loopback(struct ip ip)
{
	return is_in_any(ip, loopback, ARRAY_SIZE(loopback));
}

/* --- endpoint --- */

/*
 * Copies the address part of @text, brackets removed, to @host (IP_TEXT_SIZE bytes).
 * Returns what follows it (":port" or ""), or NULL.
 */
static const char *split_endpoint(const char *text, char *host, uint8_t *ret_family)
{
	bool bracket = *text == '[';
	const char *start = text + bracket;
	size_t size = strcspn(start, bracket ? "]" : ":");

	if (size >= IP_TEXT_SIZE || (bracket && start[size] != ']'))
		return NULL;
	memcpy(host, start, size);
	host[size] = '\0';
	*ret_family = bracket ? AF_INET6 : AF_INET;
	return start + size + bracket;
}

int endpoint_from_text(const char *text, uint16_t default_port, struct ip *ret_ip,
		       uint16_t *ret_port)
{
	uint32_t port = default_port;
	char host[IP_TEXT_SIZE];
	const char *rest;
	uint8_t family;
	struct ip ip;

	rest = split_endpoint(text, host, &family);
	if (!rest || ip_from_text(host, &ip) < 0 || ip.family != family)
		return -EINVAL;
	if (*rest && (*rest != ':' || decimal_from_text(rest + 1, UINT16_MAX, &port) < 0))
		return -EINVAL;
	if (port == 0)
		return -EINVAL;

	*ret_ip = ip;
	*ret_port = (uint16_t) port;
	return 0;
}

const char *endpoint_text(struct ip ip, uint16_t port, char *buffer)
{
	const char *format = ip.family == AF_INET6 ? "[%s]:%u" : "%s:%u";
	char host[IP_TEXT_SIZE];

	(void) snprintf(buffer, ENDPOINT_TEXT_SIZE, format, ip_text(ip, host), (unsigned) port);
	return buffer;
}

socklen_t endpoint_to_sockaddr(struct ip ip, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	memset(ret_address, 0, sizeof(*ret_address));
	switch (ip.family) {
	case AF_INET:
		memcpy(&in.sin_addr, ip.octet, sizeof(in.sin_addr));
		memcpy(ret_address, &in, sizeof(in));
		return sizeof(in);
	case AF_INET6:
		memcpy(&in6.sin6_addr, ip.octet, sizeof(in6.sin6_addr));
		memcpy(ret_address, &in6, sizeof(in6));
		return sizeof(in6);
	default:
		return 0;
	}
}
