/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_xml.h - what rehome needs of a libvirt domain's XML: its name, its UUID and its network
 * ports.
 *
 * The same text comes from two places: the stdin of a hook (libvirt docs/hooks.rst) and
 * virDomainGetXMLDesc(). Bytes in, values out; no libvirt, no socket, no file, no network.
 */
#ifndef REHOME_NVEAGENT_DOMAIN_XML_H
#define REHOME_NVEAGENT_DOMAIN_XML_H

#include <net/if.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/uuid.h"

enum {
	DOMAIN_XML_SIZE_MAX = 1 << 20, /* a guest with 200 devices needs about 120 KiB */
	DOMAIN_XML_MESSAGE_SIZE = 256,
	DOMAIN_NAME_SIZE = 256, /* libvirt keeps the domain in NAME.xml, and NAME_MAX is 255 */
	DOMAIN_PORTS_MAX =
		128, /* more NICs than a q35 guest has PCIe slots for without bridges of bridges */
};

/*
 * A network interface of type 'bridge', 'network' or 'ethernet'; the other types have no tap on a
 * bridge of this host.
 */
struct domain_port {
	struct mac mac;
	char bridge[IFNAMSIZ]; /* "" for 'ethernet', and for 'network' until libvirt resolves it */
	char tap[IFNAMSIZ];    /* "" before libvirt has chosen it */
};

struct domain {
	char name[DOMAIN_NAME_SIZE];
	struct uuid uuid;
	size_t port_count;
	struct domain_port ports[DOMAIN_PORTS_MAX];
};

/*
 * Reads @size bytes of XML. Loads nothing from elsewhere and refuses a document type declaration,
 * so no entity can be defined.
 *
 * Returns 0, or with one line fit for the user in @reterr_message (DOMAIN_XML_MESSAGE_SIZE bytes):
 *   -EBADMSG  not XML, not a <domain>, or a value in it is missing or malformed
 *   -EMSGSIZE more than DOMAIN_XML_SIZE_MAX bytes
 *   -E2BIG    more than DOMAIN_PORTS_MAX ports
 *   -ENOMEM
 */
int domain_xml_parse(const char *xml, size_t size, struct domain *ret_domain, char *reterr_message);

#endif
