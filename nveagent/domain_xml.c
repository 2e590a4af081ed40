/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/domain_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

static xmlDocPtr doc_free(xmlDocPtr doc)
{
	xmlFreeDoc(doc);
	return NULL;
}
DEFINE_CLEANUP(xmlDoc, doc_free)

static xmlParserCtxtPtr context_free(xmlParserCtxtPtr context)
{
	xmlFreeParserCtxt(context);
	return NULL;
}
DEFINE_CLEANUP(xmlParserCtxt, context_free)

static void text_freep(xmlChar **text)
{
	if (*text)
		xmlFree(*text);
}

__attribute__((format(printf, 4, 5))) static int fail(char *message, int error, const xmlNode *node,
						      const char *format, ...)
{
	size_t used = 0;
	va_list args;

	if (node)
		used = (size_t) snprintf(message, DOMAIN_XML_MESSAGE_SIZE,
					 "domain XML, line %ld: ", xmlGetLineNo(node));
	va_start(args, format);
	vsnprintf(message + used, DOMAIN_XML_MESSAGE_SIZE - used, format, args);
	va_end(args);

	/* The quoted text is a stranger's: it must not break the line. */
	for (char *c = message; *c; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
	return error;
}

/* libxml2 calls this when it meets <!DOCTYPE, before it reads any declaration in it. */
static void refuse_doctype(void *context, const xmlChar *name, const xmlChar *external_id,
			   const xmlChar *system_id)
{
	xmlParserCtxtPtr parser = context;
	bool *met = parser->_private;

	*met = true;
	xmlStopParser(parser);
}

static int fail_as_parser(xmlParserCtxtPtr context, char *message)
{
	const xmlError *error = xmlCtxtGetLastError(context);
	const char *text = error && error->message ? error->message : "it is not XML";

	if (error && error->code == XML_ERR_NO_MEMORY)
		return fail(message, -ENOMEM, NULL, "out of memory while reading the domain XML");
	return fail(message, -EBADMSG, NULL, "domain XML, line %d: %.*s", error ? error->line : 1,
		    (int) strcspn(text, "\n"), text);
}

static int read_document(const char *xml, size_t size, xmlDocPtr *ret_doc, char *message)
{
	_cleanup_(context_freep) xmlParserCtxtPtr context = xmlNewParserCtxt();
	_cleanup_(doc_freep) xmlDocPtr doc = NULL;
	bool met_doctype = false;

	if (!context)
		return fail(message, -ENOMEM, NULL, "out of memory while reading the domain XML");

	context->_private = &met_doctype;
	context->sax->internalSubset = refuse_doctype;
	doc = xmlCtxtReadMemory(context, xml, (int) size, NULL, NULL,
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (met_doctype)
		return fail(message, -EBADMSG, NULL,
			    "domain XML: a document type declaration is not accepted");
	if (!doc)
		return fail_as_parser(context, message);

	*ret_doc = TAKE_PTR(doc);
	return 0;
}

/* libvirt's own elements have no namespace; <qemu:...> and <metadata> of others do. */
static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !node->ns &&
	       strcmp((const char *) node->name, name) == 0;
}

static const xmlNode *child(const xmlNode *parent, const char *name)
{
	for (const xmlNode *node = parent->children; node; node = node->next)
		if (is_element(node, name))
			return node;
	return NULL;
}

static int read_name(const xmlNode *root, struct domain *domain, char *message)
{
	_cleanup_(text_freep) xmlChar *text = NULL;
	const xmlNode *node = child(root, "name");
	size_t size;

	if (!node)
		return fail(message, -EBADMSG, root, "the domain has no <name>");
	text = xmlNodeGetContent(node);
	if (!text)
		return fail(message, -ENOMEM, node, "out of memory");
	size = strlen((const char *) text);
	if (size == 0 || size >= sizeof(domain->name))
		return fail(message, -EBADMSG, node, "<name> must have 1 to %zu bytes",
			    sizeof(domain->name) - 1);

	memcpy(domain->name, text, size + 1);
	return 0;
}

static int read_uuid(const xmlNode *root, struct domain *domain, char *message)
{
	_cleanup_(text_freep) xmlChar *text = NULL;
	const xmlNode *node = child(root, "uuid");

	if (!node)
		return fail(message, -EBADMSG, root, "the domain has no <uuid>");
	text = xmlNodeGetContent(node);
	if (!text)
		return fail(message, -ENOMEM, node, "out of memory");
	if (uuid_from_text((const char *) text, &domain->uuid) < 0)
		return fail(message, -EBADMSG, node, "<uuid> is not a UUID: '%.40s'",
			    (const char *) text);
	return 0;
}

/*
 * Copies the device name in <ELEMENT ATTRIBUTE='...'> of an interface; leaves "" when there is
 * none.
 */
static int read_device(const xmlNode *interface, const char *element, const char *attribute,
		       char device[static IFNAMSIZ], char *message)
{
	_cleanup_(text_freep) xmlChar *text = NULL;
	const xmlNode *node = child(interface, element);
	size_t size;

	if (node)
		text = xmlGetNoNsProp(node, (const xmlChar *) attribute);
	if (!text)
		return 0;
	size = strlen((const char *) text);
	if (size >= IFNAMSIZ)
		return fail(message, -EBADMSG, node,
			    "<%s %s> is longer than the %d bytes of an interface name", element,
			    attribute, IFNAMSIZ - 1);

	memcpy(device, text, size + 1);
	return 0;
}

static int read_mac(const xmlNode *interface, struct mac *mac, char *message)
{
	_cleanup_(text_freep) xmlChar *text = NULL;
	const xmlNode *node = child(interface, "mac");

	if (node)
		text = xmlGetNoNsProp(node, (const xmlChar *) "address");
	if (!text)
		return fail(message, -EBADMSG, interface,
			    "the interface has no <mac address='...'/>");
	if (mac_from_text((const char *) text, mac) < 0)
		return fail(message, -EBADMSG, node, "<mac address> is not a MAC address: '%.40s'",
			    (const char *) text);
	return 0;
}

static int read_interface(const xmlNode *interface, struct domain *domain, char *message)
{
	struct domain_port port = { 0 };
	int r;

	if (domain->port_count == DOMAIN_PORTS_MAX)
		return fail(message, -E2BIG, interface, "more than %d network interfaces",
			    DOMAIN_PORTS_MAX);

	r = read_mac(interface, &port.mac, message);
	if (r < 0)
		return r;
	r = read_device(interface, "source", "bridge", port.bridge, message);
	if (r < 0)
		return r;
	r = read_device(interface, "target", "dev", port.tap, message);
	if (r < 0)
		return r;

	domain->ports[domain->port_count++] = port;
	return 0;
}

/*
 * libvirt docs/formatdomain.rst, "Network interfaces": the types whose backend is a tap that this
 * host can bridge.
 */
static bool has_tap(const xmlNode *interface)
{
	static const char *const types[] = { "bridge", "network", "ethernet" };
	_cleanup_(text_freep) xmlChar *type = xmlGetNoNsProp(interface, (const xmlChar *) "type");

	for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
		if (strcmp((const char *) type, types[i]) == 0)
			return true;
	return false;
}

static int read_interfaces(const xmlNode *root, struct domain *domain, char *message)
{
	const xmlNode *devices = child(root, "devices");
	int r;

	for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
		if (!is_element(node, "interface") || !has_tap(node))
			continue;
		r = read_interface(node, domain, message);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_domain(const xmlNode *root, struct domain *domain, char *message)
{
	int r;

	if (!is_element(root, "domain"))
		return fail(message, -EBADMSG, root, "expected <domain>, found <%.40s>",
			    (const char *) root->name);
	r = read_name(root, domain, message);
	if (r < 0)
		return r;
	r = read_uuid(root, domain, message);
	if (r < 0)
		return r;
	return read_interfaces(root, domain, message);
}

int domain_xml_parse(const char *xml, size_t size, struct domain *ret_domain, char *reterr_message)
{
	_cleanup_(doc_freep) xmlDocPtr doc = NULL;
	struct domain domain = { 0 };
	int r;

	if (size > DOMAIN_XML_SIZE_MAX)
		return fail(reterr_message, -EMSGSIZE, NULL, "domain XML: larger than %d bytes",
			    DOMAIN_XML_SIZE_MAX);
	if (size == 0)
		return fail(reterr_message, -EBADMSG, NULL, "domain XML, line 1: there is none");

	r = read_document(xml, size, &doc, reterr_message);
	if (r < 0)
		return r;
	r = read_domain(xmlDocGetRootElement(doc), &domain, reterr_message);
	if (r < 0)
		return r;

	*ret_domain = domain;
	return 0;
}
