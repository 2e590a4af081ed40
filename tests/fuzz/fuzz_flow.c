// SPDX-License-Identifier: LGPL-2.1-or-later
/* fuzz_flow.c - any bytes as flows; and what was read, packed again, is the same bytes. */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "nveagent/flow.h"
#include "tests/fuzz/fuzz.h"

static void check_flow(const struct flow *flow)
{
	FUZZ_CHECK((flow->status & ~(uint32_t) FLOW_STATUS_ALL) == 0);
	FUZZ_CHECK(flow->timeout_s > 0 && flow->timeout_s <= FLOW_TIMEOUT_MAX_S);
	FUZZ_CHECK(flow->zones <= 3);
	FUZZ_CHECK(flow->tcp.state <= FLOW_TCP_STATE_MAX &&
		   flow->sctp.state <= FLOW_SCTP_STATE_MAX);
	for (size_t way = 0; way < FLOW_DIRECTIONS; way++) {
		FUZZ_CHECK(flow->tuples[way].src.family == flow->tuples[0].dst.family);
		FUZZ_CHECK(flow->tuples[way].dst.family == flow->tuples[0].dst.family);
		FUZZ_CHECK(flow->tcp.scale[way] <= FLOW_TCP_SCALE_MAX);
	}
	(void) flow_is_translated(flow, true);
	(void) flow_has_end(flow, &flow->tuples[0].src, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ struct flow *flows = NULL;
	_cleanup_free_ uint8_t *again = NULL;
	const char *what = NULL;
	size_t again_size = 0;
	int count = flows_unpack(data, size, &flows, &what);

	FUZZ_CHECK(count >= 0 || count == -EPROTONOSUPPORT || (count == -EBADMSG && what));
	if (count < 0)
		return 0;
	FUZZ_CHECK(count <= FLOWS_MAX);
	for (int i = 0; i < count; i++)
		check_flow(&flows[i]);
	FUZZ_CHECK(flows_pack(flows, (size_t) count, SIZE_MAX, &again, &again_size) == count);
	FUZZ_CHECK(again_size == size && memcmp(again, data, size) == 0);
	return 0;
}
