/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* netns.c - namespaces, commands and taps for tests. */
#include "tests/netns/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "common/clock.h"

/* No <net/if.h> beside <linux/if.h>: the one function wanted of it. */
unsigned if_nametoindex(const char *name);

enum {
	NUMBER_OFFSET = 14, /* after the Ethernet header */
	POLL_STEP_MS = 1,
};

const struct netns_need inflight_needs[INFLIGHT_NEEDS] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "tun", "ip tuntap add tap0 mode tap" },
	{ "clsact", "tc qdisc add dev lo clsact" },
	{ "sch_tbf", "tc qdisc add dev lo root tbf rate 8bit burst 10k limit 1m" },
};

const struct underlay underlays[2] = {
	{ "IPv4", "192.0.2.1", "192.0.2.2", "192.0.2.3", 24, 50 },
	{ "IPv6", "2001:db8::1", "2001:db8::2", "2001:db8::3", 64, 70 },
};

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* --- namespaces --- */

int netns_new(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/proc/thread-self/ns/net");
	if (!run("ip link set lo up"))
		exit(EXIT_FAILURE);
	return fd;
}

void netns_enter(int netns)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		die("setns");
}

/* --- commands --- */

static int output_and_status(const char *command, char *output, size_t size)
{
	FILE *pipe = popen(command, "re");
	size_t used = 0, n;

	if (!pipe)
		die("popen");
	while ((n = fread(output + used, 1, size - 1 - used, pipe)) > 0)
		used += n;
	output[used] = '\0';
	return pclose(pipe);
}

static bool run_command(const char *format, va_list arguments, bool loud)
{
	static char output[NETNS_OUTPUT_MAX];
	char command[NETNS_COMMAND_MAX], whole[NETNS_COMMAND_MAX + 16];
	int status;

	vsnprintf(command, sizeof(command), format, arguments);
	snprintf(whole, sizeof(whole), "{ %s; } 2>&1", command);
	status = output_and_status(whole, output, sizeof(output));
	if (status != 0 && loud)
		printf("\n    %s: %s", command, output);
	return status == 0;
}

bool run(const char *format, ...)
{
	va_list arguments;
	bool ok;

	va_start(arguments, format);
	ok = run_command(format, arguments, true);
	va_end(arguments);
	return ok;
}

bool try_run(const char *format, ...)
{
	va_list arguments;
	bool ok;

	va_start(arguments, format);
	ok = run_command(format, arguments, false);
	va_end(arguments);
	return ok;
}

const char *output_of(const char *format, ...)
{
	static char output[NETNS_OUTPUT_MAX];
	char command[NETNS_COMMAND_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	(void) output_and_status(command, output, sizeof(output));
	return output;
}

static bool line_has_all(const char *line, va_list needles)
{
	for (const char *needle = va_arg(needles, const char *); needle;
	     needle = va_arg(needles, const char *))
		if (!strstr(line, needle))
			return false;
	return true;
}

bool shows(const char *command, ...)
{
	static char output[NETNS_OUTPUT_MAX];
	char *rest = output;
	bool found = false;

	(void) output_and_status(command, output, sizeof(output));
	for (const char *line = strsep(&rest, "\n"); line && !found; line = strsep(&rest, "\n")) {
		va_list needles;

		va_start(needles, command);
		found = line_has_all(line, needles);
		va_end(needles);
	}
	return found;
}

bool eventually(bool (*condition)(void *userdata), void *userdata)
{
	uint64_t deadline = clock_monotonic_us() + NETNS_DEADLINE_MS * 1000;

	while (!condition(userdata)) {
		if (clock_monotonic_us() > deadline)
			return false;
		(void) poll(NULL, 0, POLL_STEP_MS);
	}
	return true;
}

/* --- running the tests --- */

static int checked_main(const struct netns_need *needs, size_t count)
{
	if (geteuid() != 0) {
		printf("SKIP: needs root\n");
		return NETNS_SKIP;
	}

	for (size_t i = 0; i < count; i++) {
		close(netns_new());
		if (!run("%s", needs[i].command)) {
			printf("SKIP: needs %s\n", needs[i].feature);
			return NETNS_SKIP;
		}
	}
	return 0;
}

static void enter_fresh(void)
{
	close(netns_new());
}

static bool register_tests(const char *suite_name, const struct unit_test *tests, size_t count)
{
	CU_pSuite suite;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return false;
	suite = CU_add_suite_with_setup_and_teardown(suite_name, NULL, NULL, enter_fresh, NULL);
	for (size_t i = 0; suite && i < count; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			return false;
	return suite != NULL;
}

int netns_main(const char *suite, const struct netns_need *needs, size_t need_count,
	       const struct unit_test *tests, size_t test_count)
{
	bool passed;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	r = checked_main(needs, need_count);
	if (r != 0)
		return r;
	if (!register_tests(suite, tests, test_count))
		die(CU_get_error_msg());

	CU_basic_set_mode(CU_BRM_VERBOSE);
	passed = CU_basic_run_tests() == CUE_SUCCESS &&
		 CU_get_number_of_tests_run() == test_count &&
		 CU_get_number_of_failure_records() == 0 && CU_get_number_of_asserts() > 0;
	CU_cleanup_registry();
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- values --- */

struct mac mac_of(const char *text)
{
	struct mac mac = { { 0 } };

	if (mac_from_text(text, &mac) < 0)
		die(text);
	return mac;
}

struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	if (ip_from_text(text, &ip) < 0)
		die(text);
	return ip;
}

uint32_t ifindex_of(const char *name)
{
	return if_nametoindex(name);
}

/* --- devices --- */

void make_underlay(const struct underlay *underlay)
{
	if (!run("ip link add u0 type veth peer name u1 && ip link set u0 up && ip link set u1 up "
		 "&& "
		 "ip addr add %s/%d dev u0 nodad",
		 underlay->ours, underlay->prefix))
		exit(EXIT_FAILURE);
}

void make_vni(struct kernel *kernel, const struct underlay *underlay,
	      struct vni_devices *ret_devices)
{
	char message[KERNEL_MESSAGE_SIZE] = "";
	struct vni_devices devices = {
		.vni = 100,
		.bridge = "br100",
		.vxlan = "vx100",
		.vtep = ip_of(underlay->ours),
		.port = VXLAN_PORT,
		.create = true,
	};

	if (kernel_vni_ensure(kernel, &devices, message) < 0) {
		printf("\n    %s\n", message);
		exit(EXIT_FAILURE);
	}
	*ret_devices = devices;
}

/* --- taps --- */

int tap_open(const char *name, const char *bridge)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die(name);
	if (bridge && !run("ip link set %s master %s", name, bridge))
		exit(EXIT_FAILURE);
	if (!run("ip link set %s up", name))
		exit(EXIT_FAILURE);
	return fd;
}

size_t tap_read(int tap, uint8_t *frame, size_t size)
{
	static uint8_t buffer[sizeof(struct virtio_net_hdr) + 65536];
	ssize_t n = read(tap, buffer, sizeof(buffer));

	if (n < (ssize_t) sizeof(struct virtio_net_hdr))
		return 0;
	n -= (ssize_t) sizeof(struct virtio_net_hdr);
	memcpy(frame, buffer + sizeof(struct virtio_net_hdr),
	       (size_t) n < size ? (size_t) n : size);
	return (size_t) n;
}

bool tap_write(int tap, const uint8_t *frame, size_t size)
{
	uint8_t buffer[sizeof(struct virtio_net_hdr) + 2048] = { 0 };

	memcpy(buffer + sizeof(struct virtio_net_hdr), frame, size);
	return write(tap, buffer, sizeof(struct virtio_net_hdr) + size) > 0;
}

/* --- frames --- */

size_t numbered_frame(struct mac to, struct mac from, uint16_t ethertype, uint32_t number,
		      size_t size, uint8_t *frame)
{
	const uint8_t type[] = { (uint8_t) (ethertype >> 8), (uint8_t) ethertype };

	memset(frame, 0, size);
	memcpy(frame, to.octet, MAC_SIZE);
	memcpy(frame + MAC_SIZE, from.octet, MAC_SIZE);
	memcpy(frame + 2 * MAC_SIZE, type, sizeof(type));
	memcpy(frame + NUMBER_OFFSET, &number, sizeof(number));
	return size;
}

uint32_t frame_number(const uint8_t *frame)
{
	uint32_t number;

	memcpy(&number, frame + NUMBER_OFFSET, sizeof(number));
	return number;
}
