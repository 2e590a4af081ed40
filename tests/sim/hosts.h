/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hosts.h - where each endpoint really is, and the migrations that move it, as libvirt and QEMU
 * make them: the order of what each host sees is theirs (docs/architecture.md, "One hot move").
 *
 *   destination   expected ─▶ plugged                    ─▶ runs
 *   source                              active ─▶ stopped ─▶ sent ─▶ gone
 *
 * A migration can fail anywhere before it runs at the destination; then it goes on at its source.
 */
#ifndef REHOME_TESTS_SIM_HOSTS_H
#define REHOME_TESTS_SIM_HOSTS_H

#include "tests/sim/nve.h"

void endpoint_init(struct sim *sim, unsigned index);
/* It begins at @host, or a container appears there, wherever it was before. */
void endpoint_boot(struct endpoint *endpoint, unsigned host);
void endpoint_end(struct endpoint *endpoint);
void endpoint_migrate(struct endpoint *endpoint, unsigned host);
/* The migration fails, if there is one that still can. */
void endpoint_cancel(struct endpoint *endpoint);
/* It has other addresses from now on, perhaps one that another endpoint has, too. */
void endpoint_readdress(struct endpoint *endpoint);
/* It sends something: bridges learn of it, and its addresses are heard. */
void endpoint_speak(struct endpoint *endpoint);
/* Bridges that have not heard it for long forget it. */
void endpoint_age(struct endpoint *endpoint);
/* All that is on @nve's host ends with it. */
void host_crash(struct nve *nve);

#endif
