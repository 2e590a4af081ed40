/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leader.h - whether this NVA leads, as a table: no etcd, no sockets, no clock.
 *
 *   loading ──loaded──▶ standby ──nobody leads, or its process is gone──▶ taking ──▶ catching up ──▶ leading
 *      ▲                  ▲  ▲                                             │ not taken    │             │
 *      │                  │  └─────────────────────────────────────────────┘              │             │
 *      │                  └───────────────────────── it is another's by now ──────────────┘             │
 *      └──────────────────────────────── it is another's, or a write said so ───────────────────────────┘
 *
 * To take is one transaction, which compares what was last known of the leader: of several that try
 * one succeeds, and whoever led before can write nothing from then on. So no input need be certain,
 * and no two that take at once need a way to agree.
 */
#ifndef REHOME_NVA_LEADER_H
#define REHOME_NVA_LEADER_H

enum leader_state {
	LEADER_LOADING,	    /* everything is being read */
	LEADER_STANDBY,	    /* everything is known, and kept up to date */
	LEADER_TAKING,	    /* the transaction is under way */
	LEADER_CATCHING_UP, /* the lead is ours; what was written before is not all here */
	LEADER_LEADING,
	LEADER_STATE_COUNT,
};

enum leader_input {
	LEADER_LOADED,	  /* what was written before is here */
	LEADER_BROKEN,	  /* it can no longer be kept up to date: compacted */
	LEADER_NOBODY,	  /* etcd says: nobody leads */
	LEADER_OTHER,	  /* etcd says: another NVA leads */
	LEADER_PEER_LOST, /* the connection to it broke, and nobody listens there any more */
	LEADER_TAKEN,	  /* etcd says: we lead */
	LEADER_NOT_TAKEN, /* the transaction found another leader than it was told */
	LEADER_UNSURE,	  /* it was not answered */
	LEADER_CAUGHT_UP, /* everything up to the transaction is here */
	LEADER_FENCED,	  /* a write was refused, or etcd has not been reached for long */
	LEADER_INPUT_COUNT,
};

enum leader_action {
	LEADER_DO_NOTHING,
	LEADER_DO_LOAD,	     /* forget everything, and read it again */
	LEADER_DO_TAKE,	     /* begin the transaction */
	LEADER_DO_FOLLOW,    /* nobody is served; whoever leads is watched */
	LEADER_DO_SERVE,     /* write, and let agents in */
	LEADER_DO_STEP_DOWN, /* send agents away, forget what was not written, load */
	LEADER_DO_GIVE_UP,   /* give the lead back, which was never used, and load */
	LEADER_ACTION_COUNT,
};

/* Sets *@state to the next one. */
enum leader_action leader_step(enum leader_state *state, enum leader_input input);

const char *leader_state_name(enum leader_state state);

#endif
