/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/closer.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

enum {
	STACK_SIZE = 64 << 10, /* room for a sanitizer's bookkeeping, too */
};

static void *close_it(void *fd)
{
	(void) close((int) (intptr_t) fd);
	return NULL;
}

/* An ordinary priority: the caller may have a higher one, which is not needed to wait. */
static int start(pthread_attr_t *attributes, int fd)
{
	static const struct sched_param ordinary = { 0 };
	pthread_t thread;
	int r = pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);

	if (r == 0)
		r = pthread_attr_setstacksize(attributes, STACK_SIZE);
	if (r == 0)
		r = pthread_attr_setinheritsched(attributes, PTHREAD_EXPLICIT_SCHED);
	if (r == 0)
		r = pthread_attr_setschedpolicy(attributes, SCHED_OTHER);
	if (r == 0)
		r = pthread_attr_setschedparam(attributes, &ordinary);
	return r ? r : pthread_create(&thread, attributes, close_it, (void *) (intptr_t) fd);
}

/* Signals stay with the threads that expect them. */
void closer_close(int fd)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int r;

	if (fd < 0)
		return;
	(void) sigfillset(&all);
	(void) pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_attr_init(&attributes);
	if (r == 0) {
		r = start(&attributes, fd);
		(void) pthread_attr_destroy(&attributes);
	}
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		(void) close(fd);
}
