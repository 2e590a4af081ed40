/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unix_socket.h - stream sockets in the file system, for the control sockets and QMP. */
#ifndef REHOME_COMMON_UNIX_SOCKET_H
#define REHOME_COMMON_UNIX_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Listens at @path with @mode, close-on-exec and non-blocking; makes the parent directory if it is
 * missing (one level, mode 0755). A socket left behind by a dead process is replaced; one that
 * answers is not.
 * Returns the descriptor, or
 *   -EADDRINUSE   another process answers there
 *   -EEXIST       @path is something that is not a socket
 *   -ENAMETOOLONG longer than sun_path (unix(7))
 *   or what the system call said.
 */
int unix_socket_listen(const char *path, mode_t mode);

/*
 * Connects to @path within @timeout_ms. Returns a blocking close-on-exec descriptor, or -ENOENT,
 * -ECONNREFUSED, -ETIMEDOUT, -ENAMETOOLONG or what the system call said.
 */
int unix_socket_connect(const char *path, unsigned timeout_ms);

/*
 * Sends @request (a newline is added) on a fresh connection to @path and reads one line back into
 * *ret_reply (owned by the caller, NUL-terminated, without newline), all before @timeout_ms has
 * passed.
 *
 * Returns 0, an error of unix_socket_connect(), -ETIMEDOUT, -ECONNRESET when the peer closed early,
 * -EMSGSIZE when the reply exceeds @reply_size_max, or -EBADMSG when it holds a NUL byte.
 */
int unix_socket_ask(const char *path, const char *request, unsigned timeout_ms,
		    size_t reply_size_max, char **ret_reply);

#endif
