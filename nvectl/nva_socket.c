/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/nva_socket.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/unix_socket.h"
#include "nvectl/nvectl.h"

enum {
	CONNECT_TIMEOUT_MS = 5000,
	SILENCE_MAX_S = 120, /* a large import is applied in one go */
};

void nva_connection_close(struct nva_connection *connection)
{
	if (connection->in)
		fclose(connection->in);
	if (connection->out)
		fclose(connection->out);
	free(connection->line);
}

int nva_connection_open(struct nva_connection *connection, const char *request)
{
	const struct timeval silence = { .tv_sec = SILENCE_MAX_S };
	int fd = unix_socket_connect(connection->path, CONNECT_TIMEOUT_MS), copy;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return nvectl_fail("no NVA answers at %s: is nva running on this host?",
				   connection->path);
	if (fd < 0)
		return nvectl_fail("cannot ask the NVA at %s: %s", connection->path, strerror(-fd));
	copy = dup(fd);
	if (copy < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) < 0 ||
	    !(connection->in = fdopen(fd, "r")) || !(connection->out = fdopen(copy, "w")))
		return nvectl_fail("cannot ask the NVA: %s", strerror(errno));
	(void) signal(SIGPIPE, SIG_IGN); /* it may answer before it has heard all */
	fprintf(connection->out, "%s\n", request);
	fflush(connection->out);
	return 0;
}

const char *nva_read_line(struct nva_connection *connection)
{
	ssize_t n = getline(&connection->line, &connection->room, connection->in);

	if (n <= 0)
		return NULL;
	if (connection->line[n - 1] == '\n')
		connection->line[n - 1] = '\0';
	return connection->line;
}

int nva_read_answer(struct nva_connection *connection, struct json_object **ret_reply)
{
	_cleanup_(json_unrefp) struct json_object *reply = NULL;
	const char *line = nva_read_line(connection), *text = "it did not work";
	bool ok;

	if (!line)
		return nvectl_fail("the NVA at %s closed the connection without an answer",
				   connection->path);
	if (json_parse_object(line, strlen(line), &reply) < 0 ||
	    json_get_bool(reply, "ok", &ok) < 0)
		return nvectl_fail("the NVA gave a reply that is not understood");
	(void) json_get_string(reply, "error", &text);
	if (!ok)
		return nvectl_fail("the NVA says: %s", text);
	*ret_reply = TAKE_PTR(reply);
	return 0;
}
