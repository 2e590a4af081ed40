/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* addr.h - MAC addresses, IP addresses of both families, and VNIs as values. */
#ifndef REHOME_NET_ADDR_H
#define REHOME_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	MAC_SIZE = 6,
	MAC_TEXT_SIZE = 18,			   /* "52:54:00:aa:00:10" and its NUL */
	IP_TEXT_SIZE = INET6_ADDRSTRLEN,	   /* either family */
	ENDPOINT_TEXT_SIZE = INET6_ADDRSTRLEN + 8, /* "[addr]:port" */
	VNI_MAX = (1 << 24) - 1,		   /* RFC 7348 section 5: 24 bits */
	VXLAN_PORT = 4789,			   /* RFC 7348 section 8, IANA */
};

struct mac {
	uint8_t octet[MAC_SIZE];
};

/*
 * An address of either family; all bytes after the address are zero, so that values compare with
 * ip_cmp().
 */
struct ip {
	uint8_t family;	   /* AF_INET, AF_INET6, or AF_UNSPEC for "none" */
	uint8_t octet[16]; /* network byte order; IPv4 uses the first 4 */
};

/* A VTEP is the underlay IP address of an NVE (RFC 7348 section 3). */
typedef struct ip vtep_t;

/* All parsers accept exactly one address and nothing around it. Return 0 or -EINVAL. */
int mac_from_text(const char *text, struct mac *ret_mac);
/* -EINVAL unless @size is 6. */
int mac_from_bytes(const void *data, size_t size, struct mac *ret_mac);
/* @buffer: MAC_TEXT_SIZE; returned. */
const char *mac_text(struct mac mac, char *buffer);
/* As memcmp(). */
int mac_cmp(struct mac a, struct mac b);
bool mac_is_zero(struct mac mac);
/* Multicast or broadcast: IEEE 802, the I/G bit. */
bool mac_is_group(struct mac mac);
extern const struct mac mac_broadcast;

int ip_from_text(const char *text, struct ip *ret_ip);
/* -EINVAL unless @size is 4 or 16. */
int ip_from_bytes(const void *data, size_t size, struct ip *ret_ip);
/* 4, 16, or 0 for none. */
size_t ip_size(struct ip ip);
/* @buffer: IP_TEXT_SIZE; returned. "-" for none. */
const char *ip_text(struct ip ip, char *buffer);
/* As memcmp(). */
int ip_cmp(struct ip a, struct ip b);
bool ip_is_none(struct ip ip);
/* Neither none, unspecified (all zero), multicast, IPv4 broadcast nor loopback. */
bool ip_is_unicast(struct ip ip);
/* 169.254/16, fe80::/10 */
bool ip_is_link_local(struct ip ip);
/* fe80:: and the modified EUI-64 of @mac (RFC 4291 section 2.5.6 and appendix A). */
struct ip ip_link_local_of(struct mac mac);
/* 127/8, ::1 */
bool ip_is_loopback(struct ip ip);

/*
 * "192.0.2.10:7365" or "[2001:db8::10]:7365"; the port may be left out when @default_port is not 0.
 * An IPv6 address always stands in brackets, an IPv4 address never does.
 */
int endpoint_from_text(const char *text, uint16_t default_port, struct ip *ret_ip,
		       uint16_t *ret_port);
/* @buffer: ENDPOINT_TEXT_SIZE; returned. */
const char *endpoint_text(struct ip ip, uint16_t port, char *buffer);
/* Fills a socket address; returns its length, 0 for "none". */
socklen_t endpoint_to_sockaddr(struct ip ip, uint16_t port, struct sockaddr_storage *ret_address);

/* Decimal, 1 to VNI_MAX. Returns 0, -EINVAL (not a number) or -ERANGE. */
int vni_from_text(const char *text, uint32_t *ret_vni);

#endif
