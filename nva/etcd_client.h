/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * etcd_client.h - calls to an etcd cluster, over HTTP or HTTPS, that never wait: each ends in a
 * callback.
 *
 * One of several endpoints is used until a call to it fails; the next call then goes to the next
 * one. Nothing is called again by itself: whether that is safe is for the caller to know.
 */
#ifndef REHOME_NVA_ETCD_CLIENT_H
#define REHOME_NVA_ETCD_CLIENT_H

#include "common/cleanup.h"
#include "nva/etcd_message.h"

/* clang-format off */
enum {
	ETCD_ENDPOINTS_MAX = 8,
	ETCD_URL_SIZE = 128,
	ETCD_PATH_SIZE = 200,		/* of a file */
	ETCD_ANSWER_MAX = 64 << 20,	/* bytes of one answer, or one message of a watch */
	ETCD_READ_SIZE = 256 << 10,	/* at once */
	ETCD_CONNECT_MS = 1000,
	ETCD_CALL_MS = 2000,		/* then a call has failed */
};
/* clang-format on */

struct etcd_client_config {
	char endpoints[ETCD_ENDPOINTS_MAX][ETCD_URL_SIZE]; /* "http://127.0.0.1:2379" */
	size_t endpoint_count;
	/* Files in PEM; "": the system's CAs; no certificate of our own. */
	char ca[ETCD_PATH_SIZE], cert[ETCD_PATH_SIZE], key[ETCD_PATH_SIZE];
};

struct etcd_client;
struct etcd_call;

/*
 * @answer: borrowed; NULL when there was none, and @text says why; a refusal of etcd's is an
 * answer, with its error set. The call is freed after this; a watch when there was no answer.
 */
typedef void etcd_answered(void *userdata, const struct etcd_answer *answer, const char *text);

/* @config is borrowed for good. 0 or a negative errno. */
int etcd_client_new(const struct etcd_client_config *config, struct etcd_client **ret_client);
/* Ends all calls without a word. Not from within a callback. */
struct etcd_client *etcd_client_free(struct etcd_client *client);
DEFINE_CLEANUP(struct etcd_client, etcd_client_free)

/* Readable when etcd_client_dispatch() has something to do. */
int etcd_client_fd(const struct etcd_client *client);
void etcd_client_dispatch(struct etcd_client *client);

/* The next calls go to another endpoint. */
void etcd_client_rotate(struct etcd_client *client);
/* The endpoint of the next call; borrowed. */
const char *etcd_client_endpoint(const struct etcd_client *client);

/*
 * Posts @request, which is taken over (NULL: there was no memory for it), to @path, such as
 * "/v3/kv/range". *ret_call is set before any callback, and NULLed by nobody: forget it in the
 * callback. Returns 0 or -ENOMEM.
 */
int etcd_call_new(struct etcd_client *client, const char *path, char *request,
		  etcd_answered *answered, void *userdata, struct etcd_call **ret_call);

/*
 * The same to the endpoint of that number, whichever is used; @path is of what needs no more of the
 * cluster than that one.
 */
int etcd_call_at(struct etcd_client *client, size_t endpoint, const char *path, char *request,
		 etcd_answered *answered, void *userdata, struct etcd_call **ret_call);

/* A watch: every message of it comes as an answer, until one without, which is the end. */
int etcd_watch_new(struct etcd_client *client, char *request, etcd_answered *answered,
		   void *userdata, struct etcd_call **ret_call);

/* Gives it up: nothing is called back. Whether etcd does what was asked is not known then. */
struct etcd_call *etcd_call_free(struct etcd_call *call);

#endif
