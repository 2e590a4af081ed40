// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * etcd_client.c - libcurl's multi interface around one epoll instance.
 *
 *   libcurl: sockets, when to wake ──▶ epoll (etcd_client_fd) ──▶ etcd_client_dispatch()
 *                                                                    ├─ curl_multi_socket_action()
 *                                                                    └─ callbacks
 *
 * libcurl must not be called from within its own callbacks (libcurl-multi(3)), so these only gather
 * what arrives; answers are given when it has returned. A call that is freed while answers are
 * given stays in the list, without a callback, until that is over.
 */
#include "nva/etcd_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/timerfd.h>

struct etcd_call {
	TAILQ_ENTRY(etcd_call) link;
	struct etcd_client *client;
	CURL *easy;
	char *request; /* owned */
	bool is_watch;
	size_t endpoint;	 /* it went to */
	etcd_answered *answered; /* NULL: given up */
	void *userdata;
	char *input; /* owned; what has arrived and was not given yet */
	size_t size, room;
	size_t searched; /* bytes of it that end no line */
	bool over;
	CURLcode result;
	char error[CURL_ERROR_SIZE];
};
TAILQ_HEAD(call_queue, etcd_call);

struct etcd_client {
	const struct etcd_client_config *config;
	CURLM *multi;
	struct curl_slist *headers;
	int epoll_fd, timer_fd;
	size_t endpoint;
	struct call_queue calls;
	bool busy; /* answers are given */
};

/* --- what libcurl wants --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
	struct etcd_client *client = userdata;
	struct epoll_event event = { .data.fd = fd };

	if (what == CURL_POLL_REMOVE) {
		(void) epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
		       (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	if (epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0)
		(void) epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *userdata)
{
	const struct etcd_client *client = userdata;
	/* 0 would stop it. */
	const struct itimerspec time = {
		.it_value = { .tv_sec = ms > 0 ? ms / 1000 : 0,
			      .tv_nsec = ms > 0 ? ms % 1000 * 1000000 : ms == 0 },
	};

	(void) timerfd_settime(client->timer_fd, 0, &time, NULL);
	return 0;
}

/* Fewer bytes than there are end the call. */
static size_t on_data(char *data, size_t one, size_t size, void *userdata)
{
	struct etcd_call *call = userdata;

	if (call->size + size > ETCD_ANSWER_MAX)
		return 0;
	if (call->room - call->size < size) {
		size_t room = (call->size + size) * 2;
		char *input = realloc(call->input, room);

		if (!input)
			return 0;
		call->input = input;
		call->room = room;
	}
	memcpy(call->input + call->size, data, size);
	call->size += size;
	return size;
}

/* --- answers --- */

static void call_destroy(struct etcd_call *call)
{
	TAILQ_REMOVE(&call->client->calls, call, link);
	(void) curl_multi_remove_handle(call->client->multi, call->easy);
	curl_easy_cleanup(call->easy);
	free(call->request);
	free(call->input);
	free(call);
}

/* To be called until nothing of a call remains to be said; then it may be gone. */
static void give(struct etcd_call *call, const struct etcd_answer *answer, const char *text)
{
	etcd_answered *answered = call->answered;

	if (!answer || !call->is_watch)
		call->answered = NULL;
	if (answered)
		answered(call->userdata, answer, text);
}

static void give_text(struct etcd_call *call, const char *text, size_t size)
{
	_cleanup_(etcd_answer_clear) struct etcd_answer answer = { 0 };
	int r = etcd_answer_read(text, size, &answer);

	if (r < 0)
		give(call, NULL,
		     r == -ENOMEM ? "out of memory" : "it answers what is not etcd's JSON");
	else
		give(call, &answer, answer.error_text);
}

/* Of a watch: every whole line. */
static void give_lines(struct etcd_call *call)
{
	size_t at = 0, from = call->searched;
	const char *end;

	while (call->answered && (end = memchr(call->input + from, '\n', call->size - from))) {
		size_t size = (size_t) (end - (call->input + at));

		if (size > 0)
			give_text(call, call->input + at, size);
		at += size + 1;
		from = at;
	}
	if (at > 0)
		memmove(call->input, call->input + at, call->size - at);
	call->size -= at;
	call->searched = call->size;
}

static void give_end(struct etcd_call *call)
{
	const char *text = call->error[0] ? call->error : curl_easy_strerror(call->result);

	if (call->result != CURLE_OK && call->endpoint == call->client->endpoint)
		etcd_client_rotate(call->client);
	if (call->result == CURLE_OK && !call->is_watch)
		give_text(call, call->input ? call->input : "", call->size);
	else if (call->answered)
		give(call, NULL, call->result == CURLE_OK ? "it ended the watch" : text);
}

static void note_ends(struct etcd_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct etcd_call *call;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		call->over = true;
		call->result = message->data.result;
	}
}

static void give_all(struct etcd_client *client)
{
	struct etcd_call *call, *following;

	client->busy = true;
	TAILQ_FOREACH(call, &client->calls, link) {
		if (call->is_watch && call->size > 0)
			give_lines(call);
		if (call->over && call->answered)
			give_end(call);
	}
	client->busy = false;
	for (call = TAILQ_FIRST(&client->calls); call; call = following) {
		following = TAILQ_NEXT(call, link);
		if (!call->answered)
			call_destroy(call);
	}
}

void etcd_client_dispatch(struct etcd_client *client)
{
	struct epoll_event events[16];
	int running, n = epoll_wait(client->epoll_fd, events, ARRAY_SIZE(events), 0);

	for (int i = 0; i < n; i++) {
		int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
		uint64_t count;

		if (events[i].data.fd != client->timer_fd)
			(void) curl_multi_socket_action(client->multi, events[i].data.fd, what,
							&running);
		else if (read(client->timer_fd, &count, sizeof(count)) > 0)
			(void) curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0,
							&running);
	}
	note_ends(client);
	give_all(client);
}

/* --- calls --- */

static int call_new(struct etcd_client *client, size_t endpoint, const char *path, char *request,
		    bool is_watch, etcd_answered *answered, void *userdata,
		    struct etcd_call **ret_call)
{
	const struct etcd_client_config *config = client->config;
	struct etcd_call *call = calloc(1, sizeof(*call));
	char url[ETCD_URL_SIZE + 64];

	if (call)
		call->easy = curl_easy_init();
	if (!call || !request || !call->easy) {
		if (call)
			curl_easy_cleanup(call->easy);
		free(call);
		free(request);
		return -ENOMEM;
	}
	call->client = client;
	call->request = request;
	call->is_watch = is_watch;
	call->endpoint = endpoint;
	call->answered = answered;
	call->userdata = userdata;
	(void) snprintf(url, sizeof(url), "%s%s", config->endpoints[endpoint], path);
	curl_easy_setopt(call->easy, CURLOPT_URL, url);
	curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, client->headers);
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, request);
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(request));
	curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long) ETCD_CONNECT_MS);
	curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, is_watch ? 0L : (long) ETCD_CALL_MS);
	/* A host that died without a word: the watch is not waited for on it for ever. */
	curl_easy_setopt(call->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(call->easy, CURLOPT_TCP_KEEPIDLE, 2L);
	curl_easy_setopt(call->easy, CURLOPT_TCP_KEEPINTVL, 1L);
	curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, (long) ETCD_READ_SIZE);
	curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
	if (config->ca[0])
		curl_easy_setopt(call->easy, CURLOPT_CAINFO, config->ca);
	if (config->cert[0])
		curl_easy_setopt(call->easy, CURLOPT_SSLCERT, config->cert);
	if (config->key[0])
		curl_easy_setopt(call->easy, CURLOPT_SSLKEY, config->key);
	TAILQ_INSERT_TAIL(&client->calls, call, link);
	*ret_call = call;
	(void) curl_multi_add_handle(client->multi, call->easy);
	return 0;
}

int etcd_call_new(struct etcd_client *client, const char *path, char *request,
		  etcd_answered *answered, void *userdata, struct etcd_call **ret_call)
{
	return etcd_call_at(client, client->endpoint, path, request, answered, userdata, ret_call);
}

int etcd_call_at(struct etcd_client *client, size_t endpoint, const char *path, char *request,
		 etcd_answered *answered, void *userdata, struct etcd_call **ret_call)
{
	return call_new(client, endpoint, path, request, false, answered, userdata, ret_call);
}

int etcd_watch_new(struct etcd_client *client, char *request, etcd_answered *answered,
		   void *userdata, struct etcd_call **ret_call)
{
	return call_new(client, client->endpoint, "/v3/watch", request, true, answered, userdata,
			ret_call);
}

struct etcd_call *etcd_call_free(struct etcd_call *call)
{
	if (!call)
		return NULL;
	call->answered = NULL;
	if (!call->client->busy)
		call_destroy(call);
	return NULL;
}

/* --- life --- */

void etcd_client_rotate(struct etcd_client *client)
{
	client->endpoint = (client->endpoint + 1) % client->config->endpoint_count;
}

const char *etcd_client_endpoint(const struct etcd_client *client)
{
	return client->config->endpoints[client->endpoint];
}

int etcd_client_fd(const struct etcd_client *client)
{
	return client->epoll_fd;
}

int etcd_client_new(const struct etcd_client_config *config, struct etcd_client **ret_client)
{
	_cleanup_(etcd_client_freep) struct etcd_client *client = calloc(1, sizeof(*client));
	struct epoll_event event = { .events = EPOLLIN };

	if (!client)
		return -ENOMEM;
	client->config = config;
	TAILQ_INIT(&client->calls);
	client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	client->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = client->timer_fd;
	if (client->epoll_fd < 0 || client->timer_fd < 0 ||
	    epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->timer_fd, &event) < 0)
		return -errno;
	client->multi = curl_multi_init();
	client->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (client->headers) /* no wait for "100 Continue" before a long request */
		(void) curl_slist_append(client->headers, "Expect:");
	if (!client->multi || !client->headers)
		return -ENOMEM;
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	*ret_client = TAKE_PTR(client);
	return 0;
}

struct etcd_client *etcd_client_free(struct etcd_client *client)
{
	if (!client)
		return NULL;
	while (!TAILQ_EMPTY(&client->calls))
		call_destroy(TAILQ_FIRST(&client->calls));
	if (client->multi)
		(void) curl_multi_cleanup(client->multi);
	curl_slist_free_all(client->headers);
	if (client->timer_fd >= 0)
		close(client->timer_fd);
	if (client->epoll_fd >= 0)
		close(client->epoll_fd);
	free(client);
	return NULL;
}
