// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * directory_flows.c - the connection tracking entries of a VM, on their way from its old NVE to its
 * new one. The directory does not read them; it knows who may send them to whom: only the NVE that
 * serves the VM, or did until a commit that has not converged, and only to the NVE it consented to.
 */
#include <string.h>

#include "nva/directory_internal.h"
#include "nva/directory_move_step.h"

/* What a move has had passed on, and to whom. */
struct route {
	const struct nve *to;
	uint64_t generation;
	size_t *passed;
};

static bool find_route(const struct directory *directory, const struct vni *vni, struct mac mac,
		       const struct nve *from, struct route *ret)
{
	struct move *moves[MOVES_OF_MAX];
	size_t count = moves_of(directory, vni, mac, moves);
	struct convergence *convergence;

	for (size_t i = 0; i < count; i++)
		if (moves[i]->state == MOVE_GRANTED && moves[i]->from == from) {
			*ret = (struct route){ moves[i]->to, moves[i]->generation,
					       &moves[i]->flows_size };
			return true;
		}
	convergence = convergence_find(vni, mac, from);
	if (!convergence || !convergence->to)
		return false;
	*ret = (struct route){ convergence->to, convergence->generation, &convergence->flows_size };
	return true;
}

static void pass_on(struct directory *directory, const struct route *route,
		    const struct nvo3_message *message)
{
	struct nvo3_message copy = {
		.kind = NVO3_FLOWS,
		.vni = message->vni,
		.mac = message->mac,
		.generation = route->generation,
		.flows = malloc(message->flows_size + 1),
		.flows_size = message->flows_size,
	};

	if (!copy.flows) {
		directory->out_of_memory = true;
		return;
	}
	memcpy(copy.flows, message->flows, message->flows_size);
	*route->passed += message->flows_size;
	tell(directory, route->to, &copy);
}

void flows_take(struct directory *directory, uint64_t now_us, struct nve *nve,
		const struct nvo3_message *message)
{
	const struct vni *vni = vni_find(directory, message->vni);
	struct route route;

	if (!vni || !find_route(directory, vni, message->mac, nve, &route) ||
	    message->flows_size > DIRECTORY_MOVE_FLOWS_MAX - *route.passed) {
		directory->counters[COUNTER_FLOWS_DROPPED]++;
		return;
	}
	directory->counters[COUNTER_FLOWS]++;
	pass_on(directory, &route, message);
}
