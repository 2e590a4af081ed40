/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel_learning.h - the mark of kernel_port_set_deaf(). Internal to kernel_*.c. */
#ifndef REHOME_NVEAGENT_KERNEL_LEARNING_H
#define REHOME_NVEAGENT_KERNEL_LEARNING_H

#include "nveagent/kernel_link.h"

/* Whether @properties (IFLA_PROP_LIST) of device @ifindex have it. */
bool kernel_learning_is_marked(struct nlattr *properties, uint32_t ifindex);

#endif
