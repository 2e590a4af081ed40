/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook.c - the program libvirt runs as /etc/libvirt/hooks/qemu.d/rehome.
 *
 * Theory of operation
 *
 *   libvirt --argv, XML on stdin--> hook --one JSON line--> nveagent
 *                                        <--one JSON line--
 *
 * libvirt waits for this program with the VM's job held, and what it does with our exit status and
 * output can harm a guest (libvirt docs/hooks.rst). Hence:
 *   - stdout stays empty: for 'migrate' and 'restore' it would replace the domain XML.
 *   - One deadline covers everything, from reading stdin to the agent's reply.
 *   - The exit status is 0, whatever happens, but for an operation that may refuse
 *     (hook_operation.c), and that only when the operator asked for it. Even a crash here ends with
 *     0: a failing 'reconnect' kills a running guest.
 *   - libvirt is never called from here: it waits for us, so it would never answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/unix_socket.h"
#include "hook/hook_config.h"
#include "hook/hook_message.h"
#include "hook/hook_operation.h"
#include "nveagent/domain_xml.h"

enum {
	WATCHDOG_FACTOR = 4, /* times the deadline: only a fault in here gets that far */
	EXIT_REFUSED = 1,
};

/* Not log.h: its priority prefix would be in the message that libvirt shows to the user. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	fputs("rehome-hook: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void leave_quietly(int signal_number)
{
	static const char text[] = "rehome-hook: internal fault, the VM is left alone\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_SUCCESS);
	_exit(EXIT_SUCCESS);
}

/* A fault in this program, also one that makes it hang, must look like success to libvirt. */
static void guard_against_own_faults(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
	const struct sigaction action = { .sa_handler = leave_quietly };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void) sigaction(signals[i], &action, NULL);
	(void) signal(SIGPIPE, SIG_IGN);
}

static void set_watchdog(unsigned timeout_ms)
{
	alarm(timeout_ms * WATCHDOG_FACTOR / 1000 + 1);
}

static void close_stdout(void)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
		close(STDOUT_FILENO);
}

static unsigned ms_until(uint64_t deadline_us)
{
	uint64_t now_us = clock_monotonic_us();

	return now_us < deadline_us ? (unsigned) ((deadline_us - now_us + 999) / 1000) : 0;
}

/*
 * Reads stdin to its end; what exceeds @buffer_size is read and thrown away, so that libvirt's
 * write always succeeds. Returns 0, -EMSGSIZE, -ETIMEDOUT when the writer has not closed in time,
 * or what read() said.
 */
static int read_stdin(uint64_t deadline_us, char *buffer, size_t buffer_size, size_t *ret_size)
{
	char excess[4096] = "";
	size_t size = 0;
	int result = 0;

	for (;;) {
		struct pollfd pollfd = { .fd = STDIN_FILENO, .events = POLLIN };
		bool full = size == buffer_size;
		char *target = full ? excess : buffer + size;
		size_t room = full ? sizeof(excess) : buffer_size - size;
		unsigned left_ms = ms_until(deadline_us);
		ssize_t n;

		if (left_ms == 0 || poll(&pollfd, 1, (int) left_ms) == 0)
			return -ETIMEDOUT;
		n = read(STDIN_FILENO, target, room);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			break;
		if (n > 0 && full)
			result = -EMSGSIZE;
		else if (n > 0)
			size += (size_t) n;
	}

	*ret_size = size;
	return result;
}

/* Returns 0, or a negative errno with @reterr_text (HOOK_TEXT_SIZE bytes). */
static int read_domain(uint64_t deadline_us, struct domain *ret_domain, char *reterr_text)
{
	_cleanup_free_ char *xml = malloc(DOMAIN_XML_SIZE_MAX);
	size_t size = 0;
	int r = xml ? read_stdin(deadline_us, xml, DOMAIN_XML_SIZE_MAX, &size) : -ENOMEM;

	if (r == 0)
		return domain_xml_parse(xml, size, ret_domain, reterr_text);

	if (r == -EMSGSIZE)
		snprintf(reterr_text, HOOK_TEXT_SIZE,
			 "the domain XML on stdin is larger than %d bytes", DOMAIN_XML_SIZE_MAX);
	else if (r == -ETIMEDOUT)
		snprintf(reterr_text, HOOK_TEXT_SIZE,
			 "the domain XML on stdin did not end in time");
	else
		snprintf(reterr_text, HOOK_TEXT_SIZE, "cannot read the domain XML from stdin: %s",
			 strerror(-r));
	return r;
}

/*
 * Sends the call and gives what came of it, with a line for the user in @ret_text (HOOK_TEXT_SIZE
 * bytes).
 */
static enum hook_answer ask_agent(const struct hook_config *config, const struct hook_call *call,
				  const struct domain *domain, uint64_t deadline_us, char *ret_text)
{
	_cleanup_free_ char *line = NULL, *reply = NULL;
	int r = hook_message_build(call, domain, &line);

	if (r == 0)
		r = unix_socket_ask(config->socket, line, ms_until(deadline_us),
				    HOOK_REPLY_SIZE_MAX, &reply);
	if (r == 0) {
		enum hook_answer answer = hook_message_read(reply, ret_text);

		if (answer == HOOK_ANSWER_GARBLED)
			snprintf(ret_text, HOOK_TEXT_SIZE,
				 "the agent at %s gave a reply that is not understood",
				 config->socket);
		return answer;
	}
	if (r == -ETIMEDOUT) {
		snprintf(ret_text, HOOK_TEXT_SIZE, "the agent at %s did not answer within %u ms",
			 config->socket, config->timeout_ms);
		return HOOK_ANSWER_SILENT;
	}
	snprintf(ret_text, HOOK_TEXT_SIZE, "no agent answers at %s (%s): is nveagent running?",
		 config->socket, strerror(-r));
	return r == -EMSGSIZE ? HOOK_ANSWER_GARBLED : HOOK_ANSWER_AWAY;
}

static int run(const struct hook_config *config, const struct hook_call *call, uint64_t started_us)
{
	const struct hook_operation *operation = hook_operation_find(call->operation);
	uint64_t deadline_us = started_us + config->timeout_ms * 1000ULL;
	enum hook_answer answer = HOOK_ANSWER_UNASKED;
	struct domain domain = { 0 };
	char text[HOOK_TEXT_SIZE] = "";
	int r = read_domain(deadline_us, &domain, text);

	if (!operation || !operation->tells_agent)
		return EXIT_SUCCESS;
	if (r == 0)
		answer = ask_agent(config, call, &domain, deadline_us, text);

	if (hook_refuses(operation, answer, config->require_agent)) {
		say("this host is not ready for VM '%s': %s", call->object,
		    text[0] ? text : "its agent refuses");
		return EXIT_REFUSED;
	}
	if (answer != HOOK_ANSWER_READY)
		say("%s of VM '%s': %s", call->operation, call->object, text);
	return EXIT_SUCCESS;
}

static void load_config(struct hook_config *ret_config)
{
	const char *path = getenv(HOOK_CONFIG_ENV);
	char message[CONFIG_MESSAGE_SIZE];

	if (hook_config_read(path ? path : HOOK_CONFIG_PATH, ret_config, message) < 0)
		say("%s; going on with the defaults", message);
}

int main(int argc, char **argv)
{
	uint64_t started_us = clock_monotonic_us();
	struct hook_config config;

	close_stdout();
	guard_against_own_faults();
	set_watchdog(HOOK_TIMEOUT_MS);
	load_config(&config);
	set_watchdog(config.timeout_ms);

	if (argc < 5) {
		say("libvirt runs this as: rehome-hook VM OPERATION SUB-OPERATION EXTRA, with the "
		    "domain XML on stdin");
		return EXIT_SUCCESS;
	}
	return run(&config, &(struct hook_call){ argv[1], argv[2], argv[3], argv[4] }, started_us);
}
