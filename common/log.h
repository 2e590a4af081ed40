/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - one line per fact on stderr, with the syslog priority prefix that journald reads
 * (sd-daemon(3), "<N>") when stderr is not a terminal. Only programs log; libraries return errors.
 */
#ifndef REHOME_COMMON_LOG_H
#define REHOME_COMMON_LOG_H

#include <stdarg.h>

/* The numbers are those of syslog(3). */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* @program: shown before each line, borrowed for the life of the process. Default level: info. */
void log_open(const char *program, enum log_level level);

/* Reads a level by name ("error", "warning", "notice", "info", "debug"). Returns 0 or -EINVAL. */
int log_level_from_name(const char *name, enum log_level *ret_level);

/* One line; a newline inside the text is shown as a space, so that a peer cannot forge lines. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Logs "TEXT: strerror(-error)" as an error and returns @error, so that the caller can write
 * `return log_errno(r, "Cannot ...")`. @error is negative.
 */
int log_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
