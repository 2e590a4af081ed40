/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tap_queue.c - finding QEMU's tun descriptors and reading through copies of them.
 *
 * Theory of operation
 *
 * Every descriptor of /dev/net/tun shows its interface in /proc/PID/fdinfo/FD, "iff:\tNAME"
 * (tun_chr_show_fdinfo()). Names repeat between network namespaces, so after pidfd_getfd(2) the
 * copy is asked for its namespace (TUNGETDEVNETNS) as well.
 *
 * The copy shares the file description, and with it O_NONBLOCK, which is QEMU's business: reads use
 * RWF_NOWAIT instead, so that they never block whatever the flag says. Where the tun driver does
 * not know that (Linux 6.1 answers EOPNOTSUPP) the queue is polled first.
 *
 * A frame starts with the vnet header whose size the owner chose (TUNGETVNETHDRSZ; 10 bytes, or 12
 * with mergeable buffers); its first 10 bytes are struct virtio_net_hdr. Without IFF_NO_PI four
 * bytes stand before it (linux/if_tun.h).
 */
#include "nveagent/tap_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum {
	/* "pos:", "flags:", "mnt_id:", "ino:", "iff:" */
	FDINFO_SIZE_MAX = 1024,
	/* vnet headers are 10, 12 or, with tunnel offloads, 24 bytes */
	PREFIX_SIZE_MAX = sizeof(struct tun_pi) + 64,
};

struct tap_queue {
	pid_t pid; /* the owner of the first queue */
	int pidfd;
	int fds[TAP_QUEUES_MAX];
	size_t count, current;
	/* before the frame: struct tun_pi if any, then the vnet header */
	size_t prefix_size, vnet_size;
	uint8_t buffer[PREFIX_SIZE_MAX + TAP_FRAME_SIZE_MAX];
};

struct tap_queue *tap_queue_free(struct tap_queue *queue)
{
	if (!queue)
		return NULL;

	for (size_t i = 0; i < queue->count; i++)
		close(queue->fds[i]);
	if (queue->pidfd >= 0)
		close(queue->pidfd);
	free(queue);
	return NULL;
}

size_t tap_queue_count(const struct tap_queue *queue)
{
	return queue->count;
}

pid_t tap_queue_owner(const struct tap_queue *queue)
{
	return queue->pid;
}

bool tap_queue_owner_ended(const struct tap_queue *queue)
{
	struct pollfd poller = { .fd = queue->pidfd, .events = POLLIN }; /* pidfd_open(2) */

	return poll(&poller, 1, 0) > 0;
}

/* --- finding --- */

static bool is_number(const char *name)
{
	return name[0] >= '0' && name[0] <= '9';
}

/* True when the link /proc/PID/fd/FD leads to the tun device. */
static bool is_tun_descriptor(int proc_fd, const char *pid, const char *fd)
{
	char path[64], target[sizeof("/dev/net/tun") + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "%.20s/fd/%.20s", pid, fd);
	n = readlinkat(proc_fd, path, target, sizeof(target));
	return n == (ssize_t) strlen("/dev/net/tun") &&
	       memcmp(target, "/dev/net/tun", (size_t) n) == 0;
}

static bool shows_interface(int proc_fd, const char *pid, const char *fd, const char *name)
{
	_cleanup_close_ int info = -1;
	char path[64], text[FDINFO_SIZE_MAX], line[IFNAMSIZ + 8];
	ssize_t n;

	snprintf(path, sizeof(path), "%.20s/fdinfo/%.20s", pid, fd);
	info = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n < 0)
		return false;

	text[n] = '\0';
	snprintf(line, sizeof(line), "\niff:\t%s\n", name);
	return strstr(text, line) != NULL;
}

static bool same_namespace(int tun_fd)
{
	_cleanup_close_ int theirs = ioctl(tun_fd, TUNGETDEVNETNS);
	struct stat a, b;

	return theirs >= 0 && fstat(theirs, &a) == 0 && stat("/proc/thread-self/ns/net", &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * Learns what stands before each frame. All queues of a tap agree: the settings are the device's,
 * not the queue's.
 */
static int learn_layout(struct tap_queue *queue, int fd)
{
	struct ifreq request = { 0 };
	int vnet_size = 0;

	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return -errno;
	if ((request.ifr_flags & IFF_VNET_HDR) && ioctl(fd, TUNGETVNETHDRSZ, &vnet_size) < 0)
		return -errno;

	queue->vnet_size = (size_t) vnet_size;
	queue->prefix_size =
		queue->vnet_size + (request.ifr_flags & IFF_NO_PI ? 0 : sizeof(struct tun_pi));
	return queue->prefix_size <= PREFIX_SIZE_MAX ? 0 : -EOVERFLOW;
}

struct search {
	const char *name;
	int proc_fd;
	struct tap_queue *queue;
	int error; /* why a descriptor that fits could not be had */
};

static int take_descriptor(struct search *search, pid_t pid, int pidfd, const char *fd_text)
{
	_cleanup_close_ int fd = (int) syscall(SYS_pidfd_getfd, pidfd, atoi(fd_text), 0);
	struct tap_queue *queue = search->queue;
	int r;

	if (fd < 0)
		return errno == EBADF ? 0 : -errno; /* closed meanwhile */
	if (!same_namespace(fd))
		return 0;
	if (queue->count == TAP_QUEUES_MAX)
		return -E2BIG;

	r = learn_layout(queue, fd);
	if (r < 0)
		return r;
	if (queue->pidfd < 0) {
		queue->pid = pid;
		queue->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
	}
	if (queue->pidfd < 0)
		return -errno;
	queue->fds[queue->count++] = TAKE_FD(fd);
	return 0;
}

/* Ourselves excepted: copies we hold already are not the owner's. */
static bool is_other_process(const char *name)
{
	return is_number(name) && atoi(name) != getpid();
}

static void search_process(struct search *search, const char *pid)
{
	_cleanup_close_ int pidfd = -1;
	char path[32];
	DIR *directory;
	int fd;

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	fd = openat(search->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return; /* it has ended, or hides from us */

	for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
		int r;

		if (!is_number(entry->d_name) ||
		    !is_tun_descriptor(search->proc_fd, pid, entry->d_name) ||
		    !shows_interface(search->proc_fd, pid, entry->d_name, search->name))
			continue;
		if (pidfd < 0)
			pidfd = (int) syscall(SYS_pidfd_open, atoi(pid), 0);
		r = pidfd < 0 ? -errno : take_descriptor(search, atoi(pid), pidfd, entry->d_name);
		if (r < 0)
			search->error = r;
	}
	closedir(directory);
}

int tap_queue_open(const char *name, struct tap_queue **ret_queue)
{
	_cleanup_(tap_queue_freep) struct tap_queue *queue = malloc(sizeof(*queue));
	struct search search = { .name = name, .queue = queue };
	DIR *processes;

	if (!queue)
		return -ENOMEM;
	queue->pidfd = -1;
	queue->count = queue->current = queue->prefix_size = queue->vnet_size = 0;

	processes = opendir("/proc");
	if (!processes)
		return -errno;
	search.proc_fd = dirfd(processes);
	for (const struct dirent *entry = readdir(processes); entry && queue->count == 0;
	     entry = readdir(processes))
		if (is_other_process(entry->d_name))
			search_process(&search, entry->d_name);
	closedir(processes);

	if (queue->count == 0)
		return search.error < 0 ? search.error : -ENOENT;
	*ret_queue = TAKE_PTR(queue);
	return 0;
}

/* --- asking --- */

static bool is_readable(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return poll(&poller, 1, 0) > 0 && (poller.revents & POLLIN);
}

int tap_queue_fd(const struct tap_queue *queue)
{
	return queue->fds[0];
}

bool tap_queue_is_readable(const struct tap_queue *queue)
{
	return is_readable(queue->fds[0]);
}

/*
 * The pid that a pidfd stands for, as /proc shows it here ("Pid:" of pidfd_open(2)); 0: not known.
 */
static int pid_of(int pidfd)
{
	_cleanup_close_ int info = -1;
	char path[64], text[FDINFO_SIZE_MAX];
	const char *line;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "\nPid:");
	return line ? atoi(line + strlen("\nPid:")) : 0;
}

bool tap_queue_owner_has_bpf(const struct tap_queue *queue)
{
	static const char program[] = "anon_inode:bpf-prog"; /* bpf_prog_new_fd() */
	char path[64], target[sizeof(program)];
	bool found = false;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid_of(queue->pidfd));
	directory = opendir(path);
	if (!directory)
		return true;
	for (const struct dirent *entry = readdir(directory); entry && !found;
	     entry = readdir(directory)) {
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target));

		found = n == (ssize_t) strlen(program) && memcmp(target, program, (size_t) n) == 0;
	}
	closedir(directory);
	return found;
}

/* --- reading --- */

static ssize_t read_now(struct tap_queue *queue, int fd)
{
	struct iovec part = { queue->buffer, sizeof(queue->buffer) };
	ssize_t n = preadv2(fd, &part, 1, -1, RWF_NOWAIT);

	if (n >= 0 || errno != EOPNOTSUPP)
		return n;
	if (!is_readable(fd)) { /* nobody else reads it while we do */
		errno = EAGAIN;
		return -1;
	}
	return readv(fd, &part, 1);
}

/* Returns the bytes read, 0 when nothing waits in this queue, or an errno. */
static ssize_t read_one(struct tap_queue *queue, int fd)
{
	ssize_t n;

	do {
		n = read_now(queue, fd);
	} while (n < 0 && errno == EINTR);

	/* EBADFD: the owner detached this queue (TUNSETQUEUE), or the device went. */
	if (n < 0)
		return errno == EAGAIN || errno == EBADFD ? 0 : -errno;
	return n;
}

int tap_queue_read(struct tap_queue *queue, struct tap_frame *ret_frame)
{
	struct tap_frame frame = { 0 };
	ssize_t n = 0;

	for (size_t tried = 0; n == 0 && tried < queue->count; tried++) {
		n = read_one(queue, queue->fds[queue->current]);
		if (n == 0)
			queue->current = (queue->current + 1) % queue->count;
	}
	if (n <= 0)
		return (int) n;
	if ((size_t) n < queue->prefix_size)
		return -EPROTO;

	if (queue->vnet_size >= sizeof(frame.vnet))
		memcpy(&frame.vnet, queue->buffer + queue->prefix_size - queue->vnet_size,
		       sizeof(frame.vnet));
	frame.data = queue->buffer + queue->prefix_size;
	frame.size = (size_t) n - queue->prefix_size;
	*ret_frame = frame;
	return 1;
}
