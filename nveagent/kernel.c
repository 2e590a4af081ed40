/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel.c - the handle on the kernel's network, and questions about the host. */
#include <errno.h>
#include <netlink/socket.h>

#include "nveagent/kernel_link.h"

/*
 * rtnetlink_rcv_msg() asks for CAP_NET_ADMIN before it looks at what is to be changed: a change of
 * a device that cannot exist tells the two answers apart and does nothing.
 */
static int prove_privilege(struct kernel *kernel)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		kernel_link_message(RTM_SETLINK, 0, INT32_MAX);
	int r = message ? kernel_request(kernel, message) : -ENOMEM;

	return r == -ENODEV ? 0 : r;
}

int kernel_new(struct kernel **ret_kernel)
{
	_cleanup_(kernel_freep) struct kernel *kernel = calloc(1, sizeof(*kernel));
	int r;

	if (!kernel)
		return -ENOMEM;

	r = kernel_socket_open(NETLINK_ROUTE, &kernel->socket);
	if (r < 0)
		return r;

	r = prove_privilege(kernel);
	if (r < 0)
		return r;

	*ret_kernel = TAKE_PTR(kernel);
	return 0;
}

struct kernel *kernel_free(struct kernel *kernel)
{
	if (!kernel)
		return NULL;

	if (kernel->socket)
		nl_socket_free(kernel->socket);
	free(kernel);
	return NULL;
}

int kernel_port_by_name(struct kernel *kernel, const char *name, struct kernel_port *ret_port)
{
	struct kernel_link link;
	int r = kernel_link_by_name(kernel, name, &link);

	if (r == 0)
		*ret_port = link.port;
	return r;
}
