/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/domain_xml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define UUID "6a6c1f6e-8f0b-4c1e-9a53-0f6f0c3a7d11"
#define HEAD "<domain>\n<name>vm1</name>\n<uuid>" UUID "</uuid>\n"
#define PORT                                                                  \
	"<interface type='bridge'><mac address='52:54:00:00:00:01'/><source " \
	"bridge='br0'/></interface>\n"

static const char running[] =
	"<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
	"  <name>web &amp; mail</name>\n"
	"  <uuid>" UUID "</uuid>\n"
	"  <metadata><x:p xmlns:x='urn:x'><interface type='bridge'/></x:p></metadata>\n"
	"  <devices>\n"
	"    <interface type='bridge'>\n"
	"      <mac address='52:54:00:aa:00:10'/><source bridge='br100'/><target dev='vnet0'/>\n"
	"    </interface>\n"
	"    <interface type='network'>\n" /* resolved by libvirt */
	"      <mac address='52:54:00:AA:00:11'/><source network='lan' "
	"bridge='br-of-15-bytes-'/><target dev='vnet1'/>\n"
	"    </interface>\n"
	"    <interface type='network'><mac address='52:54:00:aa:00:12'/><source "
	"network='lan'/></interface>\n"
	"    <interface type='ethernet'><mac address='52:54:00:aa:00:13'/><target dev='tap7' "
	"managed='no'/></interface>\n"
	"    <interface type='user'><mac address='52:54:00:aa:00:14'/></interface>\n"
	"    <interface type='direct'><mac address='52:54:00:aa:00:15'/><source "
	"dev='eth0'/></interface>\n"
	"    <interface type='vhostuser'/>\n"
	"  </devices>\n"
	"  <qemu:commandline><qemu:arg value='-name'/></qemu:commandline>\n"
	"</domain>";

static int parse(const char *xml, struct domain *domain, char *message)
{
	*message = '\0';
	return domain_xml_parse(xml, strlen(xml), domain, message);
}

static void check_port(const struct domain_port *port, const char *mac, const char *bridge,
		       const char *tap)
{
	char text[MAC_TEXT_SIZE];

	CU_ASSERT_STRING_EQUAL(mac_text(port->mac, text), mac);
	CU_ASSERT_STRING_EQUAL(port->bridge, bridge);
	CU_ASSERT_STRING_EQUAL(port->tap, tap);
}

static void reads_name_uuid_and_ports(void)
{
	char message[DOMAIN_XML_MESSAGE_SIZE], uuid[UUID_TEXT_SIZE];
	static struct domain domain;

	CU_ASSERT_EQUAL_FATAL(parse(running, &domain, message), 0);
	CU_ASSERT_STRING_EQUAL(domain.name, "web & mail");
	CU_ASSERT_STRING_EQUAL(uuid_text(domain.uuid, uuid), UUID);
	CU_ASSERT_EQUAL_FATAL(domain.port_count, 4); /* user, direct and vhostuser have no tap */
	check_port(&domain.ports[0], "52:54:00:aa:00:10", "br100", "vnet0");
	check_port(&domain.ports[1], "52:54:00:aa:00:11", "br-of-15-bytes-", "vnet1");
	check_port(&domain.ports[2], "52:54:00:aa:00:12", "", "");
	check_port(&domain.ports[3], "52:54:00:aa:00:13", "", "tap7");
}

static void accepts_a_domain_without_ports(void)
{
	char message[DOMAIN_XML_MESSAGE_SIZE];
	static struct domain domain;

	CU_ASSERT_EQUAL(parse(HEAD "</domain>", &domain, message), 0);
	CU_ASSERT_EQUAL(domain.port_count, 0);
	CU_ASSERT_EQUAL(parse(HEAD "<devices/></domain>\n\n", &domain, message), 0);
	CU_ASSERT_EQUAL(domain.port_count, 0);
}

static void refuses_every_truncation(void)
{
	static struct domain domain, untouched;

	memset(&domain, 0xa5, sizeof(domain));
	memset(&untouched, 0xa5, sizeof(untouched));
	for (size_t size = 0; size < sizeof(running) - 1; size++) {
		char message[DOMAIN_XML_MESSAGE_SIZE] = "";

		CU_ASSERT_EQUAL(domain_xml_parse(running, size, &domain, message), -EBADMSG);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "domain XML, line "));
	}
	CU_ASSERT_EQUAL(memcmp(&domain, &untouched, sizeof(domain)), 0);
}

static const struct {
	const char *xml;
	int error;
	const char *message; /* the whole of it, or NULL where the text is libxml2's */
} refused[] = {
	{ "", -EBADMSG, "domain XML, line 1: there is none" },
	{ "not XML", -EBADMSG, NULL },
	{ HEAD "</domain><more/>", -EBADMSG, NULL },
	{ HEAD "<a></b></domain>", -EBADMSG, NULL },
	{ "<domain><name>\xff</name></domain>", -EBADMSG, NULL },
	{ "<domain><name>&later;</name></domain>", -EBADMSG, NULL },
	{ "<network/>", -EBADMSG, "domain XML, line 1: expected <domain>, found <network>" },
	{ "<d:domain xmlns:d='urn:d'/>", -EBADMSG,
	  "domain XML, line 1: expected <domain>, found <domain>" },
	{ "\n<domain><uuid>" UUID "</uuid></domain>", -EBADMSG,
	  "domain XML, line 2: the domain has no <name>" },
	{ "<domain><name/><uuid>" UUID "</uuid></domain>", -EBADMSG,
	  "domain XML, line 1: <name> must have 1 to 255 bytes" },
	{ "<domain><name>vm1</name></domain>", -EBADMSG,
	  "domain XML, line 1: the domain has no <uuid>" },
	{ "<domain><name>vm1</name>\n<uuid>1\n2</uuid></domain>", -EBADMSG,
	  "domain XML, line 2: <uuid> is not a UUID: '1 2'" },
	{ HEAD "<devices>\n<interface type='bridge'/></devices></domain>", -EBADMSG,
	  "domain XML, line 5: the interface has no <mac address='...'/>" },
	{ HEAD "<devices><interface type='bridge'>\n<mac "
	       "address='52:54'/></interface></devices></domain>",
	  -EBADMSG, "domain XML, line 5: <mac address> is not a MAC address: '52:54'" },
	{ HEAD "<devices><interface type='bridge'><mac address='52:54:00:00:00:01'/><source "
	       "bridge='br-of-16-bytes--'/>"
	       "</interface></devices></domain>",
	  -EBADMSG,
	  "domain XML, line 4: <source bridge> is longer than the 15 bytes of an interface name" },
	{ HEAD "<devices><interface type='ethernet'><mac address='52:54:00:00:00:01'/><target "
	       "dev='tap-of-16-bytes-'/>"
	       "</interface></devices></domain>",
	  -EBADMSG,
	  "domain XML, line 4: <target dev> is longer than the 15 bytes of an interface name" },
	{ "<!DOCTYPE domain>" HEAD "</domain>", -EBADMSG,
	  "domain XML: a document type declaration is not accepted" },
	{ "<!DOCTYPE domain [<!ENTITY a 'x'>]><domain><name>&a;</name></domain>", -EBADMSG,
	  "domain XML: a document type declaration is not accepted" },
	{ "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>" HEAD "</domain>", -EBADMSG,
	  "domain XML: a document type declaration is not accepted" },
};

static void says_what_is_wrong_and_where(void)
{
	static struct domain domain;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		char message[DOMAIN_XML_MESSAGE_SIZE];

		CU_ASSERT_EQUAL(parse(refused[i].xml, &domain, message), refused[i].error);
		CU_ASSERT(strncmp(message, "domain XML", strlen("domain XML")) == 0);
		CU_ASSERT_PTR_NULL(strchr(message, '\n'));
		if (refused[i].message)
			CU_ASSERT_STRING_EQUAL(message, refused[i].message);
	}
}

/* HEAD, @count ports, and the end, in a buffer the caller frees. */
static char *domain_of(size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs(HEAD "<devices>\n", out);
	for (size_t i = 0; i < count; i++)
		fputs(PORT, out);
	fputs("</devices></domain>", out);
	fclose(out);
	return text;
}

static void caps_the_ports(void)
{
	_cleanup_free_ char *most = domain_of(DOMAIN_PORTS_MAX),
			    *too_many = domain_of(DOMAIN_PORTS_MAX + 1);
	char message[DOMAIN_XML_MESSAGE_SIZE];
	static struct domain domain;

	CU_ASSERT_EQUAL(parse(most, &domain, message), 0);
	CU_ASSERT_EQUAL(domain.port_count, DOMAIN_PORTS_MAX);
	CU_ASSERT_EQUAL(parse(too_many, &domain, message), -E2BIG);
	CU_ASSERT_STRING_EQUAL(message, "domain XML, line 133: more than 128 network interfaces");
}

static void caps_the_name(void)
{
	char name[DOMAIN_NAME_SIZE + 1], xml[DOMAIN_NAME_SIZE + 128],
		message[DOMAIN_XML_MESSAGE_SIZE];
	static struct domain domain;

	memset(name, 'n', sizeof(name));
	for (int length = DOMAIN_NAME_SIZE - 1; length <= DOMAIN_NAME_SIZE; length++) {
		snprintf(xml, sizeof(xml),
			 "<domain><name>%.*s</name><uuid>" UUID "</uuid></domain>", length, name);
		CU_ASSERT_EQUAL(parse(xml, &domain, message),
				length < DOMAIN_NAME_SIZE ? 0 : -EBADMSG);
	}
	CU_ASSERT_EQUAL(strlen(domain.name), DOMAIN_NAME_SIZE - 1);
}

/* White space after the root belongs to the document: the size alone decides. */
static void caps_the_size(void)
{
	_cleanup_free_ char *xml = malloc(DOMAIN_XML_SIZE_MAX + 1);
	char message[DOMAIN_XML_MESSAGE_SIZE];
	static const char whole[] = HEAD "</domain>";
	static struct domain domain;

	CU_ASSERT_PTR_NOT_NULL_FATAL(xml);
	memset(xml, ' ', DOMAIN_XML_SIZE_MAX + 1);
	memcpy(xml, whole, sizeof(whole) - 1);
	CU_ASSERT_EQUAL(domain_xml_parse(xml, DOMAIN_XML_SIZE_MAX, &domain, message), 0);
	CU_ASSERT_EQUAL(domain_xml_parse(xml, DOMAIN_XML_SIZE_MAX + 1, &domain, message),
			-EMSGSIZE);
	CU_ASSERT_STRING_EQUAL(message, "domain XML: larger than 1048576 bytes");
}

UNIT_MAIN("domain_xml", UNIT_TEST(reads_name_uuid_and_ports),
	  UNIT_TEST(accepts_a_domain_without_ports), UNIT_TEST(refuses_every_truncation),
	  UNIT_TEST(says_what_is_wrong_and_where), UNIT_TEST(caps_the_ports),
	  UNIT_TEST(caps_the_name), UNIT_TEST(caps_the_size))
