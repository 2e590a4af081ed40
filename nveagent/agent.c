/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "nveagent/agent_private.h"

__attribute__((format(printf, 3, 4))) static int explain(char *reterr_message, int error,
							 const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(reterr_message, AGENT_MESSAGE_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

static int open_kernel(struct agent *agent, char *reterr_message)
{
	int r = kernel_new(&agent->kernel);

	if (r == -EPERM || r == -EACCES)
		return explain(
			reterr_message, r,
			"no CAP_NET_ADMIN here: run as root, or give the service that capability");
	if (r < 0)
		return explain(reterr_message, r, "cannot talk to the kernel (netlink): %s",
			       strerror(-r));
	return 0;
}

static int check_vtep(struct agent *agent, const char *path, char *reterr_message)
{
	bool found = false;
	char vtep[IP_TEXT_SIZE];
	int r = kernel_has_address(agent->kernel, agent->config->vtep, &found);

	if (r < 0)
		return explain(reterr_message, r, "cannot read this host's addresses: %s",
			       strerror(-r));
	if (!found)
		return explain(reterr_message, -EINVAL,
			       "%s:%u: vtep: %s is no address of this host; see ip address", path,
			       agent->config->vtep_line, ip_text(agent->config->vtep, vtep));
	return 0;
}

static int make_vns(struct agent *agent, const char *path, char *reterr_message)
{
	for (size_t i = 0; i < agent->config->vni_count; i++) {
		const struct vni_config *config = &agent->config->vnis[i];
		char why[KERNEL_MESSAGE_SIZE] = "";
		int r = agent_vn_new(agent, config, why, &agent->vns[i]);

		if (r < 0)
			return explain(reterr_message, -EINVAL, "%s:%u: [vni %u]: %s", path,
				       config->line, config->vni, why);
		agent->vn_count++;
	}
	return 0;
}

static void on_kernel(void *userdata, unsigned ready)
{
	struct agent *agent = userdata;
	int r = kernel_watch_read(agent->watch);

	if (r < 0)
		log_warning("Cannot read the kernel's notifications: %s", strerror(-r));
}

static int watch_kernel(struct agent *agent)
{
	int r = kernel_watch_new(&agent_kernel_events, agent, &agent->watch);

	if (r < 0)
		return r;
	agent->watch_fd = loop_watch_new(agent->loop, "netlink", kernel_watch_fd(agent->watch),
					 LOOP_READ, on_kernel, agent);
	if (!agent->watch_fd)
		return -ENOMEM;
	for (size_t i = 0; i < agent->vn_count; i++) {
		r = agent_vn_listen(agent->vns[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int connect_nva(struct agent *agent)
{
	struct nva_link_config config = {
		.endpoint_count = agent->config->nva_count,
		.name = agent->config->name,
		.vtep = agent->config->vtep,
		.incarnation = clock_realtime_us(),
	};

	memcpy(config.endpoints, agent->config->nvas, sizeof(config.endpoints));
	return nva_link_new(agent->loop, &config, &agent_nva_events, agent, &agent->nva);
}

static int connect_libvirt(struct agent *agent)
{
	if (strcmp(agent->config->libvirt_uri, "none") == 0)
		return 0;
	return libvirt_watch_new(agent->loop, agent->config->libvirt_uri, &agent_libvirt_events,
				 agent, &agent->libvirt);
}

static int listen_for_clients(struct agent *agent, char *reterr_message)
{
	const char *path = agent->config->socket;
	int r = control_new(agent->loop, path, agent_control_handle, agent, &agent->control);

	if (r == -EADDRINUSE)
		return explain(reterr_message, r,
			       "another agent already answers at %s: one host runs one", path);
	if (r == -EEXIST)
		return explain(reterr_message, r,
			       "%s is there and is no socket: remove it, or set another socket",
			       path);
	if (r < 0)
		return explain(reterr_message, r, "cannot listen at %s: %s", path, strerror(-r));
	return 0;
}

static int start(struct agent *agent, const char *path, char *reterr_message)
{
	int r = open_kernel(agent, reterr_message);

	if (r == 0)
		r = check_vtep(agent, path, reterr_message);
	/*
	 * Before anything is changed in the kernel: the socket tells whether an agent runs here
	 * already.
	 */
	if (r == 0)
		r = listen_for_clients(agent, reterr_message);
	if (r == 0)
		r = make_vns(agent, path, reterr_message);
	if (r < 0)
		return r;

	r = conntrack_new(agent->loop, &agent->conntrack);
	if (r < 0)
		return explain(reterr_message, r, "cannot start: %s", strerror(-r));
	agent->grace = loop_timer_new(agent->loop, agent_directory_end_grace, agent);
	agent->relearn = loop_timer_new(agent->loop, agent_local_relearn, agent);
	r = agent->grace && agent->relearn ? frame_out_new(agent->config->vtep, &agent->out)
					   : -ENOMEM;
	if (r == 0)
		r = connect_nva(agent);
	if (r == 0)
		r = watch_kernel(agent);
	if (r == 0)
		r = connect_libvirt(agent);
	return r < 0 ? explain(reterr_message, r, "cannot start: %s", strerror(-r)) : 0;
}

int agent_new(const struct agent_config *config, const char *path, char *reterr_message,
	      struct agent **ret_agent)
{
	_cleanup_(agent_freep) struct agent *agent = calloc(1, sizeof(*agent));
	int r;

	(void) explain(reterr_message, 0, "out of memory");
	if (!agent)
		return -ENOMEM;
	agent->config = config;
	agent->started_us = agent->nva_since_us = clock_monotonic_us();
	agent->loop = loop_new();
	agent->ledger = ledger_new();
	agent->withdrawals = withdrawals_new();
	agent->consents = consents_new();
	if (!agent->loop || !agent->ledger || !agent->withdrawals || !agent->consents)
		return -ENOMEM;
	r = start(agent, path, reterr_message);
	if (r < 0)
		return r;
	*ret_agent = TAKE_PTR(agent);
	return 0;
}

int agent_run(struct agent *agent)
{
	return loop_run(agent->loop);
}

struct agent *agent_free(struct agent *agent)
{
	struct port *port, *next;

	if (!agent)
		return NULL;
	agent->libvirt = libvirt_watch_free(agent->libvirt);
	agent_control_drop_waiters(agent);
	agent->control = control_free(agent->control);
	HASH_ITER(hh, agent->ports, port, next) {
		port_leave_inflight(port);
		(void) port_free(port);
	}
	agent->conntrack = conntrack_free(agent->conntrack);
	agent->watch_fd = loop_watch_free(agent->watch_fd);
	agent->watch = kernel_watch_free(agent->watch);
	agent_neighbour_unwatch_all(agent);
	agent->out = frame_out_free(agent->out);
	agent->nva = nva_link_free(agent->nva);
	agent->grace = loop_timer_free(agent->grace);
	agent->relearn = loop_timer_free(agent->relearn);
	for (size_t i = 0; i < agent->vn_count; i++)
		agent->vns[i] = agent_vn_free(agent->vns[i]);
	agent->ledger = ledger_free(agent->ledger);
	agent->withdrawals = withdrawals_free(agent->withdrawals);
	agent->consents = consents_free(agent->consents);
	agent->kernel = kernel_free(agent->kernel);
	agent->loop = loop_free(agent->loop);
	free(agent);
	return NULL;
}
