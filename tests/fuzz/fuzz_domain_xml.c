/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt, or whoever else, hands over as a domain's XML. */
#include <assert.h>
#include <string.h>

#include "nveagent/domain_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[DOMAIN_XML_MESSAGE_SIZE];
	static struct domain domain;
	int r = domain_xml_parse((const char *) data, size, &domain, message);

	if (r < 0) {
		assert(memchr(message, '\0', sizeof(message)) && !strchr(message, '\n'));
		return 0;
	}
	assert(domain.name[0] && memchr(domain.name, '\0', sizeof(domain.name)));
	assert(domain.port_count <= DOMAIN_PORTS_MAX);
	for (size_t i = 0; i < domain.port_count; i++)
		assert(memchr(domain.ports[i].bridge, '\0', IFNAMSIZ) &&
		       memchr(domain.ports[i].tap, '\0', IFNAMSIZ));
	return 0;
}
