/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/config.h"
#include "tests/unit/unit.h"

enum {
	NETWORKS_MAX = 4,
	TEXT_SIZE = 64,
	PEERS_SIZE = 512, /* no line is that long */
};

struct network {
	char vni[TEXT_SIZE], bridge[TEXT_SIZE];
	unsigned section_line, bridge_line;
};

struct settings {
	char name[TEXT_SIZE], peers[PEERS_SIZE];
	struct network networks[NETWORKS_MAX];
	size_t network_count;
};

/* --- the tables of an imagined program --- */

static int parse_name(void *target, const char *value, char *reterr_message)
{
	struct settings *settings = target;

	(void) reterr_message;
	snprintf(settings->name, sizeof(settings->name), "%s", value);
	return 0;
}

static int parse_peers(void *target, const char *value, char *reterr_message)
{
	struct settings *settings = target;

	if (!*value) {
		snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "give one address or more");
		return -EINVAL;
	}
	snprintf(settings->peers, sizeof(settings->peers), "%s", value);
	return 0;
}

static int parse_bridge(void *target, const char *value, char *reterr_message)
{
	struct network *network = target;

	(void) reterr_message;
	snprintf(network->bridge, sizeof(network->bridge), "%s", value);
	return 0;
}

static int open_agent(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	(void) reterr_message;
	CU_ASSERT_STRING_EQUAL(argument, "");
	*ret_target = config;
	return 0;
}

static int open_vni(void *config, const char *argument, void **ret_target, char *reterr_message)
{
	struct settings *settings = config;
	struct network *network = &settings->networks[settings->network_count];

	if (settings->network_count == NETWORKS_MAX) {
		snprintf(reterr_message, CONFIG_MESSAGE_SIZE, "at most %d", NETWORKS_MAX);
		return -ENOSPC;
	}
	snprintf(network->vni, sizeof(network->vni), "%s", argument);
	settings->network_count++;
	*ret_target = network;
	return 0;
}

static void note_vni_line(void *target, const char *key, unsigned line)
{
	struct network *network = target;

	if (!key)
		network->section_line = line;
	else if (strcmp(key, "bridge") == 0)
		network->bridge_line = line;
}

static const struct config_key agent_keys[] = { { "name", parse_name }, { "peers", parse_peers } };
static const struct config_key vni_keys[] = { { "bridge", parse_bridge } };
static const struct config_section sections[] = {
	{ "agent", false, agent_keys, ARRAY_SIZE(agent_keys), open_agent },
	{ "vni", true, vni_keys, ARRAY_SIZE(vni_keys), open_vni, note_vni_line },
};

/* --- reading a text as a file --- */

/* A file in memory with a short path of its own: "/proc/self/fd/N". Returns its descriptor. */
static int open_text(const char *text, size_t size, char *path)
{
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, text, size), (ssize_t) size);
	sprintf(path, "/proc/self/fd/%d", fd);
	return TAKE_FD(fd);
}

/* *ret_message (CONFIG_MESSAGE_SIZE) is the message without the path that must lead it. */
static int read_bytes(const char *text, size_t size, struct settings *settings, char *ret_message)
{
	char path[TEXT_SIZE], message[CONFIG_MESSAGE_SIZE] = "";
	_cleanup_close_ int fd = open_text(text, size, path);
	int r;

	(void) fd; /* @path leads to it until it is closed on return */
	*settings = (struct settings){ 0 };
	r = config_read(path, sections, ARRAY_SIZE(sections), settings, message);
	ret_message[0] = '\0';
	if (r < 0) {
		CU_ASSERT_EQUAL_FATAL(strncmp(message, path, strlen(path)), 0);
		snprintf(ret_message, CONFIG_MESSAGE_SIZE, "%s", message + strlen(path));
	}
	return r;
}

static int read_text(const char *text, struct settings *settings, char *ret_message)
{
	return read_bytes(text, strlen(text), settings, ret_message);
}

/* --- what is read --- */

static const char sample[] = "\xef\xbb\xbf# The agent of one host\n"
			     "[agent]\n"
			     "name = host-a\n"
			     "peers = 192.0.2.10:7365, [2001:db8::10]:7365 ; both families\n"
			     "\n"
			     "  [vni 100]   # indented, as its key is\r\n"
			     "  bridge=br100 # as on each host\r\n"
			     "[vni\t200]\n"
			     "bridge : br200\t#; of both\n"
			     "; no key: its bridge is made\n"
			     "[ vni   300 ]\n"
			     "[vni]";

static void expect_sample(const struct settings *settings)
{
	CU_ASSERT_STRING_EQUAL(settings->name, "host-a");
	CU_ASSERT_STRING_EQUAL(settings->peers, "192.0.2.10:7365, [2001:db8::10]:7365");
	CU_ASSERT_EQUAL(settings->network_count, 4);
	CU_ASSERT_STRING_EQUAL(settings->networks[0].vni, "100");
	CU_ASSERT_STRING_EQUAL(settings->networks[0].bridge, "br100");
	CU_ASSERT_STRING_EQUAL(settings->networks[1].vni, "200");
	CU_ASSERT_STRING_EQUAL(settings->networks[1].bridge, "br200");
	CU_ASSERT_STRING_EQUAL(settings->networks[2].vni, "300");
	CU_ASSERT_STRING_EQUAL(settings->networks[2].bridge, "");
	CU_ASSERT_STRING_EQUAL(settings->networks[3].vni, "");
}

static void expect_lines(const struct network *network, unsigned section_line, unsigned bridge_line)
{
	CU_ASSERT_EQUAL(network->section_line, section_line);
	CU_ASSERT_EQUAL(network->bridge_line, bridge_line);
}

static void reads_sections_and_keys(void)
{
	char message[CONFIG_MESSAGE_SIZE];
	struct settings settings;

	CU_ASSERT_EQUAL_FATAL(read_text(sample, &settings, message), 0);
	expect_sample(&settings);
	expect_lines(&settings.networks[0], 6, 7);
	expect_lines(&settings.networks[1], 8, 9);
	expect_lines(&settings.networks[2], 11, 0);
	expect_lines(&settings.networks[3], 12, 0);
}

/* As in a URI; only behind a blank it begins a comment. */
static void keeps_a_hash_inside_a_value(void)
{
	char message[CONFIG_MESSAGE_SIZE];
	struct settings settings;

	CU_ASSERT_EQUAL_FATAL(read_text("[agent]\nname = a#b # c # d\n", &settings, message), 0);
	CU_ASSERT_STRING_EQUAL(settings.name, "a#b");
}

static void reads_an_empty_file(void)
{
	char message[CONFIG_MESSAGE_SIZE];
	struct settings settings;

	CU_ASSERT_EQUAL(read_text("", &settings, message), 0);
	CU_ASSERT_EQUAL(read_text("\n \n# c\n;c", &settings, message), 0);
	CU_ASSERT_EQUAL(settings.network_count, 0);
}

/* Cut inside a word, a text may be right or wrong, but it never says more than the whole one. */
static void survives_every_truncation(void)
{
	char message[CONFIG_MESSAGE_SIZE];
	struct settings settings;

	for (size_t size = 0; size < sizeof(sample) - 1; size++) {
		int r = read_bytes(sample, size, &settings, message);

		CU_ASSERT_TRUE(r == 0 || r == -EINVAL);
		CU_ASSERT_EQUAL(r < 0, message[0] == ':');
		CU_ASSERT_TRUE(settings.network_count < 4);
	}
}

/* --- what is refused --- */

static const struct refusal {
	const char *text;
	int error;
	const char *message; /* after the path */
} refusals[] = {
	{ "name = a\n", -EINVAL, ":1: name stands before the first [section]" },
	{ "[agent]\n[nva]\n", -EINVAL, ":2: there is no section [nva]" },
	{ "[]\n", -EINVAL, ":1: there is no section []" },
	{ "[agent]\n[agent]\n", -EINVAL, ":2: section [agent] is there twice; join the two" },
	{ "[agent 1]\n", -EINVAL, ":1: section [agent] takes no argument" },
	{ "[agent\n", -EINVAL, ":1: the section's name does not end with ]" },
	{ "[agent] name = a\n", -EINVAL, ":1: there is text after the section's ]" },
	{ "[agent]\n\nnam = a\n", -EINVAL, ":3: section [agent] has no key nam" },
	{ "[agent]\nName = a\n", -EINVAL, ":2: section [agent] has no key Name" },
	{ "[agent]\n= a\n", -EINVAL, ":2: section [agent] has no key " },
	{ "[agent]\nname = a\nname = a\n", -EINVAL, ":3: name is there twice; remove one" },
	{ "[agent]\nname = a\n[vni 1]\nname = a\n", -EINVAL, ":4: section [vni] has no key name" },
	{ "[agent]\npeers =\n", -EINVAL, ":2: peers: give one address or more" },
	{ "[agent]\nname\n", -EINVAL, ":2: this is neither \"key = value\" nor \"[section]\"" },
	{ "[agent]\nname = a\n  continued\n", -EINVAL,
	  ":3: this is neither \"key = value\" nor \"[section]\"" },
	/* The first error is told, whoever finds it. */
	{ "[agent]\nname\nnam = a\n", -EINVAL,
	  ":2: this is neither \"key = value\" nor \"[section]\"" },
	{ "[agent]\nnam = a\nname\n", -EINVAL, ":2: section [agent] has no key nam" },
	{ "[agent]\nname\n[nva]\n", -EINVAL,
	  ":2: this is neither \"key = value\" nor \"[section]\"" },
	{ "[vni 1]\n[vni 2]\n[vni 3]\n[vni 4]\n[vni 5]\n", -ENOSPC, ":5: [vni]: at most 4" },
};

static void says_what_is_wrong_and_where(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		char message[CONFIG_MESSAGE_SIZE];
		struct settings settings;

		CU_ASSERT_EQUAL(read_text(refusals[i].text, &settings, message), refusals[i].error);
		CU_ASSERT_STRING_EQUAL(message, refusals[i].message);
	}
}

static void refuses_binary_data(void)
{
	static const char text[] = "[agent]\nname = a\0b\n";
	char message[CONFIG_MESSAGE_SIZE];
	struct settings settings;

	CU_ASSERT_EQUAL(read_bytes(text, sizeof(text) - 1, &settings, message), -EINVAL);
	CU_ASSERT_STRING_EQUAL(message, ":2: there is a NUL byte; this is no text file");
}

/* A line that libinih would cut is never used: the longest that is taken comes out whole. */
static void refuses_a_line_that_would_be_cut(void)
{
	static const char end[] = "\n[vni 1]\n";
	char message[CONFIG_MESSAGE_SIZE], text[1024] = "[agent]\npeers = ";
	size_t start = strlen(text), accepted = 0;
	struct settings settings;

	for (size_t size = 1; size < 512; size++) {
		memset(text + start, 'x', size);
		memcpy(text + start + size, end, sizeof(end));
		if (read_text(text, &settings, message) == 0) {
			accepted = size;
			CU_ASSERT_EQUAL(strlen(settings.peers), size);
			CU_ASSERT_EQUAL(settings.network_count, 1);
		} else {
			CU_ASSERT_EQUAL(strncmp(message, ":2: the line is longer than ", 28), 0);
		}
	}
	CU_ASSERT_EQUAL(strlen("peers = ") + accepted, 199); /* as config.h says */
}

static void says_why_a_file_cannot_be_read(void)
{
	char message[CONFIG_MESSAGE_SIZE] = "";
	struct settings settings = { 0 };

	CU_ASSERT_EQUAL(config_read("/nonexistent/x.conf", sections, ARRAY_SIZE(sections),
				    &settings, message),
			-ENOENT);
	CU_ASSERT_STRING_EQUAL(message,
			       "/nonexistent/x.conf: cannot open: No such file or directory");
	CU_ASSERT_EQUAL(config_read("/proc", sections, ARRAY_SIZE(sections), &settings, message),
			-EISDIR);
	CU_ASSERT_STRING_EQUAL(message, "/proc:1: cannot read: Is a directory");
}

/* A message longer than its buffer ends early, with its NUL. */
static void cuts_a_long_message(void)
{
	static const char end[] = "/none";
	char message[CONFIG_MESSAGE_SIZE], path[1024];
	struct settings settings = { 0 };

	memset(path, '/', sizeof(path));
	memcpy(path + sizeof(path) - sizeof(end), end, sizeof(end));
	memset(message, 'x', sizeof(message));
	CU_ASSERT_EQUAL(config_read(path, sections, ARRAY_SIZE(sections), &settings, message),
			-ENOENT);
	CU_ASSERT_EQUAL(strnlen(message, sizeof(message)), sizeof(message) - 1);
}

UNIT_MAIN("config", UNIT_TEST(reads_sections_and_keys),
	  UNIT_TEST(keeps_a_hash_inside_a_value), UNIT_TEST(reads_an_empty_file),
	  UNIT_TEST(survives_every_truncation), UNIT_TEST(says_what_is_wrong_and_where),
	  UNIT_TEST(refuses_binary_data), UNIT_TEST(refuses_a_line_that_would_be_cut),
	  UNIT_TEST(says_why_a_file_cannot_be_read), UNIT_TEST(cuts_a_long_message))
