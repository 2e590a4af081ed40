# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two guests pass one another: each moves to where the other comes from, at the same time."""

import time

from bench import leftovers
from lab import Guest, Nic
from support import DOUBLED_PER_QUEUE, PPS, Case

SECOND = Guest(name="vm2", uuid="7c0e5a10-9d1f-4d53-8f7a-5a1f00000011",
               nics=[Nic("52:54:00:aa:00:11", "198.51.100.11", "2001:db8:100::11")])


class TwoGuests(Case):
    def pass_by(self, room, homes):
        """Both at once to the other's host; HOMES is {guest name: host}, and kept up to date."""
        lab, began_us = room.lab, time.time_ns() // 1000
        moves = [lab.migration(guest, homes[guest.name], next(host for host in lab.hypervisors if host is not homes[guest.name]))
                 for guest in (room.guest, SECOND)]
        for move in moves:
            move.wait()
            homes[move.guest.name] = move.target
        self.assert_over(lab, began_us, ports=2)

    def check(self, underlay):
        room = self.room(underlay)
        room.lab.guest_start("hv2", SECOND)
        homes = {room.guest.name: room.lab["hv1"], SECOND.name: room.lab["hv2"]}
        room.homes = lambda: [(guest, homes[guest.name]) for guest in (room.guest, SECOND)]
        room.baseline = leftovers.snapshot(room.lab, room.homes())
        with self.counted(room, DOUBLED_PER_QUEUE,
                          (room.tenant(), room.guest.ip4, {"pps": PPS // 2, "tcp": True}),
                          (room.tenant(), SECOND.ip6, {"pps": PPS // 2, "tcp": True})):
            self.pass_by(room, homes)
        self.assert_at_home(room)
        self.assert_reachable(room)

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
