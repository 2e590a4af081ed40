/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_open(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool interrupt_take(int fd)
{
	struct signalfd_siginfo info;
	bool came = false;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		came = true;
	return came;
}
