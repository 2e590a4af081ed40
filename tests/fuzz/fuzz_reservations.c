/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of diskless clients' addresses. */
#include <assert.h>
#include <stdlib.h>

#include "nva/reservations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ struct reservation *entries = NULL;
	const char *what = NULL;
	unsigned line = 0;
	int r = reservations_parse((const char *) data, size, &entries, &line, &what);

	assert(r >= 0 ? r == 0 || entries : line > 0 && what);
	for (int i = 0; i < r; i++) {
		assert(entries[i].vni > 0 && entries[i].vni <= VNI_MAX);
		assert(!mac_is_group(entries[i].mac) && ip_is_unicast(entries[i].ip));
		assert(i == 0 || entries[i - 1].vni < entries[i].vni ||
		       (entries[i - 1].vni == entries[i].vni &&
			mac_cmp(entries[i - 1].mac, entries[i].mac) < 0));
	}
	return 0;
}
