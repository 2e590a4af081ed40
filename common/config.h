/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.h - reads an INI file through libinih against a table of known keys.
 *
 * A program describes its sections and keys in tables; unknown sections and keys, repeated keys and
 * values that do not parse are errors that name the file and the line. Sections may carry an
 * argument: "[vni 100]"; whether two with one argument are allowed is for their open() to say. One
 * without argument stands in the file once. What follows " ;" or " #" in a line is a comment. Lines
 * are shorter than 200 bytes, which is what Debian's libinih holds.
 */
#ifndef REHOME_COMMON_CONFIG_H
#define REHOME_COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONFIG_MESSAGE_SIZE = 256,
	CONFIG_TABLE_MAX = 64, /* bits of the masks that find repetitions */
};

struct config_key {
	const char *name;
	/*
	 * Parses @value into @target (what the section's open function returned).
	 * Returns 0, or -EINVAL after writing into @reterr_message (CONFIG_MESSAGE_SIZE bytes)
	 * what the value should have been.
	 */
	int (*parse)(void *target, const char *value, char *reterr_message);
};

struct config_section {
	const char *name;
	bool takes_argument; /* "[vni 100]": the text after the name is handed to open() */
	const struct config_key *keys;
	size_t key_count;
	/*
	 * Called when the section starts; returns 0 and the target for its keys in *ret_target, or
	 * a negative errno with @reterr_message written. @argument is "" when there is none.
	 */
	int (*open)(void *config, const char *argument, void **ret_target, char *reterr_message);
	/*
	 * May be NULL. Told where each thing stands, so that a later check can name the line: @key
	 * is NULL for the section's own line, which comes first.
	 */
	void (*note_line)(void *target, const char *key, unsigned line);
};

/*
 * Returns 0, or a negative errno with @reterr_message (CONFIG_MESSAGE_SIZE bytes) holding one line
 * fit for the user: "FILE:LINE: what is wrong and what to do". Nothing must be used of @config
 * after a failure but to free it. Sections and the keys of a section: at most CONFIG_TABLE_MAX.
 */
int config_read(const char *path, const struct config_section *sections, size_t section_count,
		void *config, char *reterr_message);

#endif
