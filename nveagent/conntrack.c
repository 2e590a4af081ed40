// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * conntrack.c - the thread, and the way there and back.
 *
 *   loop ── todo ──▶ thread ── finished, eventfd ──▶ loop
 *
 * A job belongs to the loop's thread, which makes and frees it; between being in `todo` and being
 * in `finished` its middle part is the other thread's. Who wants the answer is never looked at
 * there.
 */
#include "nveagent/conntrack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

enum job_kind { JOB_READ, JOB_INSTALL, JOB_REMOVE };

struct job {
	TAILQ_ENTRY(job) all;	/* the loop's */
	TAILQ_ENTRY(job) queue; /* todo or finished, under the mutex */
	conntrack_done done;	/* NULL: nobody waits any more */
	void *userdata;
	bool undo;

	/* The thread's, until it has finished. */
	enum job_kind kind;
	uint16_t zone;
	struct ip ips[MAPPING_IPS_MAX];
	size_t ip_count;
	struct flow *flows; /* owned, as all the others */
	size_t count;
	int *results;
	struct kernel_conntrack_found found;
	int error;
};
TAILQ_HEAD(job_queue, job);

struct conntrack {
	struct loop_watch *watch;
	int event_fd;
	struct job_queue all;
	bool running;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* Under the mutex: */
	struct job_queue todo, finished;
	bool stopping;
};

static struct job *job_free(struct job *job)
{
	if (!job)
		return NULL;
	free(job->flows);
	free(job->results);
	free(job->found.flows);
	free(job);
	return NULL;
}
DEFINE_CLEANUP(struct job, job_free)

/* --- the thread --- */

static int do_job(struct kernel_conntrack *kernel, struct job *job)
{
	switch (job->kind) {
	case JOB_READ:
		return kernel_conntrack_read(kernel, job->zone, job->ips, job->ip_count,
					     &job->found);
	case JOB_INSTALL:
		return kernel_conntrack_install(kernel, job->zone, job->flows, job->count,
						job->results);
	case JOB_REMOVE:
		return kernel_conntrack_remove(kernel, job->zone, job->flows, job->count,
					       job->results);
	}
	return -EINVAL;
}

/* A handle that failed may still get answers to what it asked: the next job has a new one. */
static void run_job(struct kernel_conntrack **kernel, struct job *job)
{
	job->error = *kernel ? 0 : kernel_conntrack_new(kernel);
	if (job->error == 0)
		job->error = do_job(*kernel, job);
	if (job->error < 0)
		*kernel = kernel_conntrack_free(*kernel);
}

static struct job *next_job(struct conntrack *conntrack)
{
	struct job *job;

	while (!(job = TAILQ_FIRST(&conntrack->todo)) && !conntrack->stopping)
		pthread_cond_wait(&conntrack->wake, &conntrack->mutex);
	if (conntrack->stopping)
		return NULL;
	TAILQ_REMOVE(&conntrack->todo, job, queue);
	return job;
}

static void *thread_main(void *userdata)
{
	_cleanup_(kernel_conntrack_freep) struct kernel_conntrack *kernel = NULL;
	struct conntrack *conntrack = userdata;
	const uint64_t one = 1;
	struct job *job;

	pthread_mutex_lock(&conntrack->mutex);
	while ((job = next_job(conntrack))) {
		pthread_mutex_unlock(&conntrack->mutex);
		run_job(&kernel, job);
		pthread_mutex_lock(&conntrack->mutex);
		TAILQ_INSERT_TAIL(&conntrack->finished, job, queue);
		/* EAGAIN: it is readable already. */
		while (write(conntrack->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&conntrack->mutex);
	return NULL;
}

/*
 * The loop's signals are for the loop's thread, and its real-time priority (nveagent.service) for
 * VMs that stop: a long walk must hold up neither that nor the VMs.
 */
static int start_thread(struct conntrack *conntrack)
{
	const struct sched_param no_priority = { 0 };
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	if (conntrack->running)
		return 0;
	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void) pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	(void) pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
	(void) pthread_attr_setschedparam(&attributes, &no_priority);
	(void) sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&conntrack->thread, &attributes, thread_main, conntrack);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void) pthread_attr_destroy(&attributes);
	conntrack->running = r == 0;
	return -r;
}

/* --- the loop's side --- */

static int submit(struct conntrack *conntrack, struct job *job)
{
	int r = start_thread(conntrack);

	if (r < 0)
		return r;
	TAILQ_INSERT_TAIL(&conntrack->all, job, all);
	pthread_mutex_lock(&conntrack->mutex);
	TAILQ_INSERT_TAIL(&conntrack->todo, job, queue);
	pthread_cond_signal(&conntrack->wake);
	pthread_mutex_unlock(&conntrack->mutex);
	return 0;
}

static struct job *job_new(enum job_kind kind, uint16_t zone, conntrack_done done, void *userdata)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->kind = kind;
	job->zone = zone;
	job->done = done;
	job->userdata = userdata;
	return job;
}

int conntrack_read(struct conntrack *conntrack, uint16_t zone, const struct ip *ips, size_t count,
		   conntrack_done done, void *userdata)
{
	_cleanup_(job_freep) struct job *job = job_new(JOB_READ, zone, done, userdata);
	int r;

	if (!job)
		return -ENOMEM;
	memcpy(job->ips, ips, count * sizeof(*ips));
	job->ip_count = count;
	r = submit(conntrack, job);
	if (r == 0)
		TAKE_PTR(job);
	return r;
}

static int submit_flows(struct conntrack *conntrack, enum job_kind kind, uint16_t zone,
			struct flow *flows, size_t count, conntrack_done done, void *userdata)
{
	_cleanup_free_ struct flow *owned = flows;
	_cleanup_(job_freep) struct job *job = job_new(kind, zone, done, userdata);
	int r;

	if (!job)
		return -ENOMEM;
	job->flows = TAKE_PTR(owned);
	job->count = count;
	job->results = calloc(count + 1, sizeof(*job->results));
	r = job->results ? submit(conntrack, job) : -ENOMEM;
	if (r == 0)
		TAKE_PTR(job);
	return r;
}

int conntrack_install(struct conntrack *conntrack, uint16_t zone, struct flow *flows, size_t count,
		      conntrack_done done, void *userdata)
{
	return submit_flows(conntrack, JOB_INSTALL, zone, flows, count, done, userdata);
}

int conntrack_remove(struct conntrack *conntrack, uint16_t zone, struct flow *flows, size_t count)
{
	return submit_flows(conntrack, JOB_REMOVE, zone, flows, count, NULL, NULL);
}

void conntrack_forget(struct conntrack *conntrack, const void *userdata)
{
	struct job *job;

	TAILQ_FOREACH(job, &conntrack->all, all)
		if (job->userdata == userdata)
			job->done = NULL;
}

void conntrack_undo(struct conntrack *conntrack, const void *userdata)
{
	struct job *job;

	TAILQ_FOREACH(job, &conntrack->all, all)
		if (job->userdata == userdata && job->done && job->kind == JOB_INSTALL)
			job->undo = true;
	conntrack_forget(conntrack, userdata);
}

/* --- answers --- */

/* Removes what @job made. */
static void undo(struct conntrack *conntrack, struct job *job)
{
	size_t made = 0;

	for (size_t i = 0; i < job->count; i++)
		if (job->results[i] == 0)
			job->flows[made++] = job->flows[i];
	(void) conntrack_remove(conntrack, job->zone, TAKE_PTR(job->flows), made);
}

static void answer(struct conntrack *conntrack, struct job *job)
{
	struct conntrack_answer said = {
		.error = job->error,
		.found = job->found,
		.flows = job->flows,
		.results = job->results,
		.count = job->count,
	};

	if (job->undo && job->error == 0)
		undo(conntrack, job);
	if (!job->done)
		return;
	job->done(job->userdata, &said);
	job->found = said.found;
}

static struct job *finished_job(struct conntrack *conntrack)
{
	struct job *job;

	pthread_mutex_lock(&conntrack->mutex);
	job = TAILQ_FIRST(&conntrack->finished);
	if (job)
		TAILQ_REMOVE(&conntrack->finished, job, queue);
	pthread_mutex_unlock(&conntrack->mutex);
	return job;
}

static void on_event(void *userdata, unsigned ready)
{
	struct conntrack *conntrack = userdata;
	struct job *job;
	uint64_t count;

	(void) !read(conntrack->event_fd, &count, sizeof(count));
	while ((job = finished_job(conntrack))) {
		TAILQ_REMOVE(&conntrack->all, job, all);
		answer(conntrack, job);
		(void) job_free(job);
	}
}

/* --- life --- */

int conntrack_new(struct loop *loop, struct conntrack **ret_conntrack)
{
	_cleanup_(conntrack_freep) struct conntrack *conntrack = calloc(1, sizeof(*conntrack));

	if (!conntrack)
		return -ENOMEM;
	TAILQ_INIT(&conntrack->all);
	TAILQ_INIT(&conntrack->todo);
	TAILQ_INIT(&conntrack->finished);
	(void) pthread_mutex_init(&conntrack->mutex, NULL);
	(void) pthread_cond_init(&conntrack->wake, NULL);
	conntrack->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (conntrack->event_fd < 0)
		return -errno;
	conntrack->watch = loop_watch_new(loop, "conntrack", conntrack->event_fd, LOOP_READ,
					  on_event, conntrack);
	if (!conntrack->watch)
		return -ENOMEM;
	*ret_conntrack = TAKE_PTR(conntrack);
	return 0;
}

static void stop_thread(struct conntrack *conntrack)
{
	pthread_mutex_lock(&conntrack->mutex);
	conntrack->stopping = true;
	pthread_cond_signal(&conntrack->wake);
	pthread_mutex_unlock(&conntrack->mutex);
	(void) pthread_join(conntrack->thread, NULL);
}

struct conntrack *conntrack_free(struct conntrack *conntrack)
{
	struct job *job;

	if (!conntrack)
		return NULL;
	if (conntrack->running)
		stop_thread(conntrack);
	while ((job = TAILQ_FIRST(&conntrack->all))) {
		TAILQ_REMOVE(&conntrack->all, job, all);
		(void) job_free(job);
	}
	conntrack->watch = loop_watch_free(conntrack->watch);
	if (conntrack->event_fd >= 0)
		close(conntrack->event_fd);
	(void) pthread_mutex_destroy(&conntrack->mutex);
	(void) pthread_cond_destroy(&conntrack->wake);
	free(conntrack);
	return NULL;
}
