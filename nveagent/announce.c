/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/announce.h"

#include "common/cleanup.h"
#include "net/frames.h"

struct sender {
	struct frame_out *out;
	const struct announce_where *where;
	int sent;
	int failed; /* the last error, 0 when there was none */
};

static void count(struct sender *sender, int r)
{
	if (r < 0)
		sender->failed = r;
	else
		sender->sent++;
}

/* @size 0: an address of the other family, for which there is no such frame. */
static void send_everywhere(struct sender *sender, const uint8_t *frame, size_t size)
{
	const struct announce_where *where = sender->where;

	if (size == 0)
		return;
	for (size_t i = 0; i < where->port_count; i++)
		count(sender, frame_out_device(sender->out, where->ports[i], frame, size));
	for (size_t i = 0; i < where->vtep_count; i++)
		count(sender, frame_out_vtep(sender->out, where->vni, where->vteps[i],
					     where->vxlan_port, frame, size));
}

static void announce_address(struct sender *sender, const struct announce_who *who, struct ip ip)
{
	uint8_t frame[FRAME_BUILD_SIZE];

	send_everywhere(sender, frame, frame_build_garp(who->mac, ip, frame));
	send_everywhere(sender, frame, frame_build_garp_reply(who->mac, ip, frame));
	send_everywhere(sender, frame,
			frame_build_unsolicited_na(who->mac, ip, who->router, frame));
}

int announce(struct frame_out *out, const struct announce_who *who,
	     const struct announce_where *where)
{
	struct sender sender = { .out = out, .where = where };
	uint8_t frame[FRAME_BUILD_SIZE];

	for (size_t i = 0; i < who->ip_count; i++)
		if (ip_is_unicast(who->ips[i]))
			announce_address(&sender, who, who->ips[i]);
	send_everywhere(&sender, frame, frame_build_rarp_request(who->mac, frame));
	return sender.sent > 0 ? sender.sent : sender.failed;
}
