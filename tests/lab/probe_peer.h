/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_peer.h - the peer's side of the conversation in probe_wire.h: opens a session at the guest,
 * streams both ways, stops, and collects what the guest counted. One thread; the caller drives it
 * tick by tick.
 */
#ifndef REHOME_TESTS_LAB_PROBE_PEER_H
#define REHOME_TESTS_LAB_PROBE_PEER_H

#include "tests/lab/probe_echo.h"
#include "tests/lab/probe_summary.h"
#include "tests/lab/probe_wire.h"

struct probe_peer;

struct probe_peer_config {
	union probe_address to;
	uint32_t down_pps, up_pps;
	uint16_t payload;
	uint8_t flows;
	bool tcp;
	int cancel_fd; /* a signalfd: something to read there ends any waiting; -1: none */
};

/* Returns 0, -ENOMEM or what the system said. */
int probe_peer_new(const struct probe_peer_config *config, struct probe_peer **ret_peer);
struct probe_peer *probe_peer_free(struct probe_peer *peer);
DEFINE_CLEANUP(struct probe_peer, probe_peer_free)

/*
 * The phases, in this order. Each returns 0, or
 *   -EINTR         cancelled
 *   -ETIMEDOUT     the guest did not answer in time
 *   -ECONNRESET    it refused; probe_peer_refusal() says why
 *   -ECONNREFUSED  it accepts no TCP connection
 *   -EBADMSG       its report makes no sense
 *   -EMSGSIZE      the device here does not take packets of that size
 *
 * open   the session is set up and both streams begin
 * tick   sleeps to the next tick, then sends and receives; from @end_ns on (0: never) it sends only
 *        what was due before, and returns -ETIME once that is done
 * stop   no packet is sent any more on either side, and stragglers have had time to arrive
 * fetch  what the guest counted of the down stream
 */
int probe_peer_open(struct probe_peer *peer);
int probe_peer_tick(struct probe_peer *peer, uint64_t end_ns);
int probe_peer_stop(struct probe_peer *peer);
int probe_peer_fetch(struct probe_peer *peer, struct probe_summary *ret_down);

/* What this end knows, in any phase. */
enum probe_reason probe_peer_refusal(const struct probe_peer *peer);
uint64_t probe_peer_sent(const struct probe_peer *peer);
uint64_t probe_peer_received(const struct probe_peer *peer);
uint64_t probe_peer_started_us(const struct probe_peer *peer);
uint64_t probe_peer_stopped_us(const struct probe_peer *peer);
/* The down stream as this end's sender counted it: for when the guest's report is missing. */
void probe_peer_down_sender(const struct probe_peer *peer, struct probe_summary *summary);
/* The up stream; complete only after stop. @guest: the guest's report, or NULL. */
void probe_peer_up(const struct probe_peer *peer, const struct probe_summary *guest,
		   struct probe_summary *ret_up);
/*
 * Silences in the guest's progress with the down stream, told by `seen`, in this end's clock;
 * borrowed.
 */
const struct probe_gaps *probe_peer_seen_gaps(const struct probe_peer *peer);
/* The TCP connection; NULL without one. Borrowed. */
struct probe_echo *probe_peer_echo(struct probe_peer *peer);

#endif
