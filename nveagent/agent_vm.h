/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent_vm.h - what agent_vm.c (libvirt), agent_bare.c (QEMU alone) and agent_hook.c have in
 * common: whose port a NIC is, and what is told of it.
 */
#ifndef REHOME_NVEAGENT_AGENT_VM_H
#define REHOME_NVEAGENT_AGENT_VM_H

#include "nveagent/agent_private.h"
#include "nveagent/domain_xml.h"

/*
 * The VN whose bridge the NIC's tap is in; before there is one, the bridge that is named. NULL:
 * none of ours.
 */
struct agent_vn *agent_vm_vn(struct agent *agent, const struct domain_port *where);
/* The record for one NIC of @domain, made if need be; NULL when it is in no VN of ours. */
struct port *agent_vm_port(struct agent *agent, const struct domain *domain,
			   const struct domain_port *where);
/* Calls @each for the ports of the VM @uuid; it may free the one it is given. */
void agent_vm_each_port(struct agent *agent, struct uuid uuid, void (*each)(struct port *port));

/* The NIC has gone; it runs; its VM is coming in. The record may be gone afterwards. */
void agent_vm_unplug(struct port *port);
void agent_vm_run(struct port *port);
void agent_vm_arrive(struct port *port);

#endif
