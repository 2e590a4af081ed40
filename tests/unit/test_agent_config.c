/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "nveagent/agent_config.h"
#include "tests/unit/unit.h"

static struct agent_config config;
static char message[CONFIG_MESSAGE_SIZE];

/* Reads @text as a file; the message begins with the file's name, which is cut off. */
static int read_text(const char *text)
{
	char path[] = "/tmp/rehome-config-XXXXXX";
	int fd = mkstemp(path), r;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, text, strlen(text)), (ssize_t) strlen(text));
	close(fd);
	message[0] = '\0';
	r = agent_config_read(path, &config, message);
	unlink(path);
	if (r < 0) {
		CU_ASSERT_EQUAL(strncmp(message, path, strlen(path)), 0);
		memmove(message, message + strlen(path), strlen(message + strlen(path)) + 1);
	}
	return r;
}

static void reads_both_families(void)
{
	CU_ASSERT_EQUAL(read_text(
				"[agent]\nname = hv1\nvtep = 192.0.2.1\nnva = 192.0.2.10:7000\n"
				"[vni 100]\nbridge = br0\nvxlan = vx0\nport = 8472\ncreate = no\n"),
			0);
	CU_ASSERT_STRING_EQUAL(config.name, "hv1");
	CU_ASSERT_EQUAL(config.nva_count, 1);
	CU_ASSERT_EQUAL(config.nvas[0].port, 7000);
	CU_ASSERT_EQUAL(config.vtep_line, 3);
	CU_ASSERT_EQUAL_FATAL(config.vni_count, 1);
	CU_ASSERT_EQUAL(config.vnis[0].vni, 100);
	CU_ASSERT_EQUAL(config.vnis[0].port, 8472);
	CU_ASSERT_EQUAL(config.vnis[0].line, 5);
	CU_ASSERT_FALSE(config.vnis[0].create);
	CU_ASSERT_STRING_EQUAL(config.vnis[0].bridge, "br0");

	CU_ASSERT_EQUAL(read_text("[agent]\nvtep = 2001:db8::1\nnva = [2001:db8::10]\n[vni "
				  "1]\n[vni 16777215]\n"),
			0);
	CU_ASSERT_EQUAL(config.vtep.family, AF_INET6);
	CU_ASSERT_EQUAL(config.nvas[0].port, NVO3_PORT);
	CU_ASSERT_EQUAL_FATAL(config.vni_count, 2);
	CU_ASSERT_STRING_EQUAL(config.vnis[1].bridge, "br16777215");
	CU_ASSERT_STRING_EQUAL(config.vnis[1].vxlan, "vx16777215");
	CU_ASSERT_EQUAL(config.vnis[1].port, VXLAN_PORT);
	CU_ASSERT_TRUE(config.vnis[1].create);
	CU_ASSERT_FALSE(config.vnis[1].pull);

	CU_ASSERT_EQUAL(read_text("[agent]\nvtep = 192.0.2.1\nnva = 192.0.2.10\npull-age = "
				  "60\n[vni 1]\nmode = pull\n"),
			0);
	CU_ASSERT_TRUE(config.vnis[0].pull);
	CU_ASSERT_EQUAL(config.pull_age_s, 60);
}

static void reads_several_nvas(void)
{
	CU_ASSERT_EQUAL(read_text("[agent]\nvtep = 192.0.2.1\nnva = 192.0.2.10:7000 "
				  "[2001:db8::10], 192.0.2.12\n"
				  "[vni 1]\n"),
			0);
	CU_ASSERT_EQUAL_FATAL(config.nva_count, 3);
	CU_ASSERT_EQUAL(config.nvas[0].port, 7000);
	CU_ASSERT_EQUAL(config.nvas[1].address.family, AF_INET6);
	CU_ASSERT_EQUAL(config.nvas[1].port, NVO3_PORT);
	CU_ASSERT_EQUAL(config.nvas[2].address.octet[3], 12);

	CU_ASSERT_EQUAL(read_text("[agent]\nvtep = 192.0.2.1\nnva = 192.0.2.10, here\n[vni 1]\n"),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, ":3: "));
	CU_ASSERT_EQUAL(read_text("[agent]\nvtep = 192.0.2.1\nnva = 192.0.2.1 192.0.2.2 192.0.2.3 "
				  "192.0.2.4 192.0.2.5 "
				  "192.0.2.6 192.0.2.7 192.0.2.8 192.0.2.9\n[vni 1]\n"),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "more than 8"));
}

#define GOOD "[agent]\nvtep = 192.0.2.1\nnva = 192.0.2.10\n"

static void names_the_line_of_what_is_wrong(void)
{
	static const struct {
		const char *text, *place, *says;
	} cases[] = {
		{ GOOD "colour = red\n[vni 1]\n",	":4:", "colour" },
		{ GOOD "[vni 0]\n",			":4:", "1 to 16777215" },
		{ GOOD "[vni 16777216]\n",		":4:", "1 to 16777215" },
		{ GOOD "[vni x]\n",			":4:", "1 to 16777215" },
		{ GOOD "[vni 7]\n[vni 7]\n",		":5:", "twice" },
		{ GOOD "[vni 7]\nport = 65536\n",	":5:", "1 to 65535" },
		{ GOOD "[vni 7]\nbridge = a/b\n",	":5:", "15 characters" },
		{ GOOD "[vni 7]\nvxlan = abcdefghijklmnop\n", ":5:", "15 characters" },
		{ GOOD "[vni 7]\ncreate = maybe\n",	":5:", "yes or no" },
		{ "[agent]\nvtep = 224.0.0.1\n",	":2:", "underlay address" },
		{ "[agent]\nvtep = ff02::1\n",		":2:", "underlay address" },
		{ "[agent]\nvtep = hv1\n",		":2:", "underlay address" },
		{ "[agent]\nnva = 2001:db8::10:7365x\n", ":2:", "NVA's address" },
		{ "[agent]\nsocket = run/x\n",		":2:", "absolute" },
		{ GOOD "[vni 7]\nrarp-server = 2001:db8::1\n", ":5:", "IPv4 address" },
		{ GOOD "[vni 7]\nrarp-server = 224.0.0.1\n", ":5:", "IPv4 address" },
		{ GOOD "[vni 7]\nrarp-file = /etc/ethers\n", ":5:", "rarp-file" },
		{ "[agent]\nneighbour-age = x\n",	":2:", "0 to 86400" },
		{ "[agent]\nport-addresses = 33\n",	":2:", "1 to 32" },
		{ "[agent]\nport-addresses = 0\n",	":2:", "1 to 32" },
		{ "[agent]\nport-macs = 0\n",		":2:", "1 to 65536" },
		{ "[agent]\nforward-timeout = 0\n",	":2:", "1 to 3600" },
		{ "[agent]\nforward-timeout = 30s\n",	":2:", "1 to 3600" },
		{ "[agent]\nlog-level = loud\n",	":2:", "debug" },
		{ "[agent]\nguest-ring = often\n",	":2:", "yes or no" },
		{ "[agent]\nnva = 192.0.2.10\n[vni 1]\n", ": ", "no vtep" },
		{ "[agent]\nvtep = 192.0.2.1\n[vni 1]\n", ": ", "no nva" },
		{ GOOD "[vni 7]\nmode = flood\n",	":5:", "push or pull" },
		{ GOOD "[vni 7]\nsuppress = no\nmode = pull\n", ":4:", "needs suppress" },
		{ "[agent]\npull-age = 0\n",		":2:", "1 to 86400" },
		{ GOOD,					": ", "no [vni N]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_TRUE(read_text(cases[i].text) < 0);
		CU_ASSERT_EQUAL(strncmp(message, cases[i].place, strlen(cases[i].place)), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, cases[i].says));
		if (!strstr(message, cases[i].says))
			fprintf(stderr, "\"%s\" gives \"%s\"\n", cases[i].text, message);
	}
}

UNIT_MAIN("agent_config",
	UNIT_TEST(reads_both_families),
	UNIT_TEST(reads_several_nvas),
	UNIT_TEST(names_the_line_of_what_is_wrong))
