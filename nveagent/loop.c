/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* As libevent has them: the lowest number first. */
enum loop_priority { PRIORITY_URGENT, PRIORITY_USUAL, PRIORITY_COUNT };

enum { URGENT_RUN_MAX = 64 }; /* urgent callbacks one after another; then others have their turn */

struct loop {
	struct event_base *base;
	struct event *sigterm, *sigint;
	unsigned urgent_run; /* urgent callbacks since the last other one */
	int urgent_fds;	     /* an epoll descriptor of what is urgent, for loop_rest() */
};

struct loop_watch {
	struct event *event;
	struct loop *loop;
	bool urgent;
	unsigned interest;
	loop_fd_handler handler;
	void *userdata;
};

struct loop_timer {
	struct event *event; /* NULL until it is started: most timers never are */
	struct loop *loop;
	loop_timer_handler handler;
	void *userdata;
};

static void on_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	loop_stop(userdata);
}

static struct event *signal_watch(struct loop *loop, int number)
{
	struct event *event = evsignal_new(loop->base, number, on_signal, loop);

	if (event && event_add(event, NULL) < 0) {
		event_free(event);
		event = NULL;
	}
	return event;
}

/* Of all that is ready one usual callback is run, then what has become ready is looked at again. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_max_dispatch_interval(config, NULL, 1, PRIORITY_USUAL) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (base && event_base_priority_init(base, PRIORITY_COUNT) < 0) {
		event_base_free(base);
		base = NULL;
	}
	return base;
}

struct loop *loop_new(void)
{
	_cleanup_(loop_freep) struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->urgent_fds = epoll_create1(EPOLL_CLOEXEC);
	loop->base = new_base();
	if (loop->urgent_fds < 0 || !loop->base)
		return NULL;
	loop->sigterm = signal_watch(loop, SIGTERM);
	loop->sigint = signal_watch(loop, SIGINT);
	if (!loop->sigterm || !loop->sigint)
		return NULL;
	return TAKE_PTR(loop);
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	if (loop->sigterm)
		event_free(loop->sigterm);
	if (loop->sigint)
		event_free(loop->sigint);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->urgent_fds >= 0)
		close(loop->urgent_fds);
	free(loop);
	return NULL;
}

int loop_run(struct loop *loop)
{
	return event_base_dispatch(loop->base) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

void loop_rest(struct loop *loop, uint64_t us)
{
	struct pollfd urgent = { .fd = loop->urgent_fds, .events = POLLIN };
	const struct timespec timeout = {
		.tv_sec = (time_t) (us / 1000000),
		.tv_nsec = (long) (us % 1000000 * 1000),
	};

	(void) ppoll(&urgent, 1, &timeout, NULL); /* a signal, too, is something to go on with */
}

static short event_bits(unsigned interest)
{
	return (short) ((interest & LOOP_READ ? EV_READ : 0) |
			(interest & LOOP_WRITE ? EV_WRITE : 0) | EV_PERSIST);
}

/* Who never stops, as a monitor gone mad, waits for the others from then on, until one has run. */
static int rank(struct loop_watch *watch)
{
	bool first = watch->urgent && watch->loop->urgent_run < URGENT_RUN_MAX;

	return event_priority_set(watch->event, first ? PRIORITY_URGENT : PRIORITY_USUAL);
}

static void on_fd(evutil_socket_t fd, short what, void *userdata)
{
	struct loop_watch *watch = userdata;

	watch->loop->urgent_run = watch->urgent ? watch->loop->urgent_run + 1 : 0;
	if (watch->urgent)
		(void) rank(watch);
	watch->handler(watch->userdata,
		       (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u));
}

struct loop_watch *loop_watch_new(struct loop *loop, const char *name, int fd, unsigned interest,
				  loop_fd_handler handler, void *userdata)
{
	_cleanup_(loop_watch_freep) struct loop_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->loop = loop;
	watch->handler = handler;
	watch->userdata = userdata;
	watch->interest = interest;
	watch->event = event_new(loop->base, fd, event_bits(interest), on_fd, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0)
		return NULL;
	return TAKE_PTR(watch);
}

static int wake_from_rest(struct loop_watch *watch, int operation)
{
	struct epoll_event wanted = {
		.events = (watch->interest & LOOP_READ ? EPOLLIN : 0u) |
			  (watch->interest & LOOP_WRITE ? EPOLLOUT : 0u),
	};

	return epoll_ctl(watch->loop->urgent_fds, operation, event_get_fd(watch->event), &wanted);
}

int loop_watch_set_urgent(struct loop_watch *watch)
{
	if (!watch->urgent && wake_from_rest(watch, EPOLL_CTL_ADD) < 0)
		return -errno;
	watch->urgent = true;
	return rank(watch) < 0 ? -EINVAL : 0;
}

int loop_watch_set(struct loop_watch *watch, unsigned interest)
{
	evutil_socket_t fd = event_get_fd(watch->event);

	if (interest == watch->interest)
		return 0;
	event_del(watch->event);
	if (event_assign(watch->event, watch->loop->base, fd, event_bits(interest), on_fd, watch) <
		    0 ||
	    rank(watch) < 0)
		return -EINVAL;
	if (event_add(watch->event, NULL) < 0)
		return -ENOMEM;
	watch->interest = interest;
	return watch->urgent && wake_from_rest(watch, EPOLL_CTL_MOD) < 0 ? -errno : 0;
}

struct loop_watch *loop_watch_free(struct loop_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->urgent)
		(void) wake_from_rest(watch, EPOLL_CTL_DEL);
	if (watch->event)
		event_free(watch->event);
	free(watch);
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct loop_timer *timer = userdata;

	timer->loop->urgent_run = 0;
	timer->handler(timer->userdata);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_handler handler, void *userdata)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->loop = loop;
	timer->handler = handler;
	timer->userdata = userdata;
	return timer;
}

int loop_timer_start(struct loop_timer *timer, uint64_t delay_us)
{
	struct timeval delay = {
		.tv_sec = (time_t) (delay_us / 1000000),
		.tv_usec = (suseconds_t) (delay_us % 1000000),
	};

	if (!timer->event)
		timer->event = evtimer_new(timer->loop->base, on_timer, timer);
	return timer->event && evtimer_add(timer->event, &delay) == 0 ? 0 : -ENOMEM;
}

void loop_timer_stop(struct loop_timer *timer)
{
	if (timer->event)
		evtimer_del(timer->event);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
	return timer->event && evtimer_pending(timer->event, NULL);
}

struct loop_timer *loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return NULL;
	if (timer->event)
		event_free(timer->event);
	free(timer);
	return NULL;
}
