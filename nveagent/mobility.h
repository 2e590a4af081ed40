/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mobility.h - the life of one VM port at one NVE, as a pure state machine.
 *
 * Theory of operation
 *
 * One machine stands for one (VM, VNI, MAC) on one host. It takes inputs (what libvirt, QEMU, the
 * hook, the kernel, the NVA and timers say) and gives back the effects to carry out, in order. It
 * does no I/O and reads no clock, so a log of inputs replayed gives the same run. The same machine
 * serves the old NVE and the new one, both address families, with libvirt and without.
 *
 *   new NVE: ABSENT -EXPECT-> EXPECTED -PLUG-> PLUGGED -RUN-> COMMITTING -COMMITTED-> SETTLING
 *   -CONVERGED-> RESIDENT
 *   boot:    ABSENT -RUN-> REGISTERING -REGISTERED-> RESIDENT
 *   old NVE: RESIDENT -LEAVE-> LEAVING -ASKED-> ARMED -STOP-> SWITCHED -TAKEN-> FORWARDING
 *   -CONVERGED-> DRAINING -IDLE-> ABSENT
 *                    \-ASKED-> ASKED  -LEAVE-/    \<--RUN (rollback)--/
 *
 * Between STOP and the word that the VM runs at the new NVE (TAKEN) the old NVE holds what comes
 * for it. If the migration fails then, at whatever stage, all of it goes back to the tap, in order:
 * nothing was sent away yet. If that word does not come (no session to the NVA), the end of the
 * source's QEMU (UNPLUG), or a while after it has sent everything (SENT, TIMEOUT_HOLD), stands for
 * it.
 *
 * An agent that ended meanwhile finds in the kernel what it had left there (HELD), and goes on
 * from SWITCHED; libvirt says whether the VM is still here (LEAVE), gone (UNPLUG), or goes on (RUN,
 * STAY).
 *
 * The old NVE consents (R20, B4) only when both are true: the NVA says who asks (ASKED), and this
 * host's own QEMU says that the VM is leaving (LEAVE). Either may come first.
 *
 * Facts that outlive a state (QEMU is migrating out, its vCPUs stand still, the tap is gone, the
 * NVA asks) are fed again by the caller when a state is entered: see mobility_facts.
 */
#ifndef REHOME_NVEAGENT_MOBILITY_H
#define REHOME_NVEAGENT_MOBILITY_H

#include <stdbool.h>
#include <stddef.h>

enum mobility_state {
	MOBILITY_ABSENT,	/* not here */
	MOBILITY_EXPECTED,	/* an incoming migration was announced; no tap yet */
	MOBILITY_PLUGGED,	/* its tap is here, guarded; the VM still runs at the old NVE */
	MOBILITY_COMMITTING,	/* the VM runs here; the NVA does not know yet */
	MOBILITY_SETTLING,	/* the NVA knows; not every NVE has confirmed */
	/* here without a move (boot, cold start, agent restart); the NVA does not know yet */
	MOBILITY_REGISTERING,
	MOBILITY_RESIDENT,	/* here, known, settled */
	MOBILITY_ASKED,		/* a new NVE wants it; our QEMU does not say that it is leaving */
	MOBILITY_LEAVING,	/* our QEMU is sending it away; no new NVE has asked */
	MOBILITY_ARMED,		/* both: consent given, forwarding prepared */
	MOBILITY_SWITCHED,	/* stopped here; what comes for it is held for the new NVE */
	MOBILITY_FORWARDING,	/* it runs at the new NVE; some NVEs still send here */
	MOBILITY_DRAINING,	/* all NVEs have confirmed; waiting until nothing comes any more */
	MOBILITY_STATE_COUNT,
};

enum mobility_input {
	MOBILITY_EXPECT,	/* hook: a migration (or restore) into this host begins */
	MOBILITY_PLUG,		/* the tap of an incoming VM is in the bridge */
	MOBILITY_RUN,		/* the VM runs here: RESUME, start, or found running */
	MOBILITY_FOUND,		/* the VM is here but stands still, and is no incoming one */
	/* what an earlier life of the agent held for it, or forwards, has been found */
	MOBILITY_HELD,
	MOBILITY_STOP,		/* its vCPUs stand still (QMP STOP) */
	MOBILITY_UNPLUG,	/* the VM or its tap is gone from this host */
	MOBILITY_LEAVE,		/* QEMU is migrating it out (QMP MIGRATION setup, active, ...) */
	MOBILITY_STAY,		/* that migration failed or was cancelled */
	/*
	 * QEMU has sent everything (MIGRATION completed); its destination may still fail to run it
	 */
	MOBILITY_SENT,
	MOBILITY_ASKED_FOR,	/* NVA: a new NVE asks for it */
	MOBILITY_REFUSED,	/* NVA: our intent, commit or registration was refused */
	MOBILITY_REGISTERED,	/* NVA: our registration stands */
	MOBILITY_COMMITTED,	/* NVA: our commit stands */
	MOBILITY_TAKEN,		/* NVA: the VM runs at another NVE */
	MOBILITY_CONVERGED,	/* NVA: every NVE has confirmed the newest generation */
	MOBILITY_CALLED_OFF,	/* NVA: the other side gave this move up */
	MOBILITY_NVA_UP,	/* the session to the NVA was (re)established */
	MOBILITY_ADDRESS,	/* a new IP address of the VM was seen */
	MOBILITY_IDLE,		/* nothing was forwarded for the quiet interval */
	MOBILITY_TIMEOUT_EXPECT,
	MOBILITY_TIMEOUT_RETRY,
	MOBILITY_TIMEOUT_HOLD,	/* what was held for the new NVE is held no longer */
	MOBILITY_TIMEOUT_CAP,	/* forward-timeout */
	MOBILITY_INPUT_COUNT,
};

enum mobility_effect {
	MOBILITY_DO_NOTHING,	/* ends a list */
	MOBILITY_DO_INTENT,	/* NVA: MOVE_INTENT */
	MOBILITY_DO_COMMIT,	/* NVA: COMMIT */
	MOBILITY_DO_REGISTER,	/* NVA: REGISTER */
	MOBILITY_DO_WITHDRAW,	/* NVA: WITHDRAW */
	MOBILITY_DO_CONSENT,	/* NVA: CONSENTED yes */
	MOBILITY_DO_REFUSE,	/* NVA: CONSENTED no */
	MOBILITY_DO_ABORT,	/* NVA: ABORT */
	MOBILITY_DO_GUARD,	/* close the destination tap (kernel_guard_new) */
	MOBILITY_DO_OPEN,	/* open it */
	MOBILITY_DO_UNGUARD,	/* remove the guard */
	MOBILITY_DO_PIN,	/* bridge: MAC -> its tap */
	MOBILITY_DO_UNPIN,	/* bridge: MAC -> wherever the directory says */
	MOBILITY_DO_ANNOUNCE,	/* start the series of GARP and NA */
	MOBILITY_DO_HUSH,	/* end that series */
	MOBILITY_DO_ARM,	/* inflight_arm() */
	/* inflight_park(): from now on nothing reaches the tap, everything waits in order */
	MOBILITY_DO_SWITCH,
	/* inflight_release(): what waited goes to the new NVE, and what comes later */
	MOBILITY_DO_RELEASE,
	MOBILITY_DO_RETURN,	/* inflight_return() */
	MOBILITY_DO_DISARM,	/* inflight_free(), after the bridge's entry has its final place */
	MOBILITY_DO_EXPECT_TIMER,
	MOBILITY_DO_RETRY_TIMER,
	MOBILITY_DO_HOLD_TIMER,
	MOBILITY_DO_CAP_TIMER,
	MOBILITY_DO_IDLE_WATCH,	/* look at the forward counter each quiet interval */
	MOBILITY_DO_STOP_TIMERS, /* all of the above */
	MOBILITY_DO_LATE,	/* late_add(): frames that still come for it are sent on */
	MOBILITY_DO_SEND_FLOWS,	/* port_flows_send(): connection tracking entries to the new NVE */
	/* port_flows_delete(): those sent, or taken, and not needed here any more */
	MOBILITY_DO_DELETE_FLOWS,
	MOBILITY_DO_KEEP_FLOWS,	/* port_flows_keep(): they stay in the kernel */
	MOBILITY_DO_FORGET,	/* the port needs no record here any more */
	MOBILITY_EFFECT_COUNT,
};

enum {
	MOBILITY_EFFECTS_MAX = 8,	/* of one step, the closing MOBILITY_DO_NOTHING included */
};

struct mobility_step {
	enum mobility_state next;
	enum mobility_effect effects[MOBILITY_EFFECTS_MAX];
};

/*
 * What happens in @state at @input. Every pair is defined: one that means nothing keeps the state
 * and has no effects. Borrowed, constant.
 */
const struct mobility_step *mobility_step(enum mobility_state state, enum mobility_input input);

/* What is still true whatever state was just entered. */
struct mobility_facts {
	bool migrating_out;	/* -> MOBILITY_LEAVE */
	bool asked_for;		/* -> MOBILITY_ASKED_FOR */
	/* -> MOBILITY_STOP, only while migrating out: a pause alone is no move */
	bool stopped;
	bool unplugged;		/* -> MOBILITY_UNPLUG */
};

/*
 * The next fact to feed after entering @state, as an input that changes something there;
 * MOBILITY_INPUT_COUNT when there is none. Call again after each step: it ends, since no cycle of
 * states is driven by facts alone (proved by the unit test).
 */
enum mobility_input mobility_pending(enum mobility_state state, const struct mobility_facts *facts);

/* True while the port takes frames for its MAC here (its tap is the place for it). */
bool mobility_is_local(enum mobility_state state);
/* True while the forward device owns the bridge's entry for the MAC. */
bool mobility_is_forwarding(enum mobility_state state);

/* True while the port's generation is the one that was granted for its commit, or none yet. */
bool mobility_is_arriving(enum mobility_state state);

const char *mobility_state_name(enum mobility_state state);
const char *mobility_input_name(enum mobility_input input);
const char *mobility_effect_name(enum mobility_effect effect);

#endif
