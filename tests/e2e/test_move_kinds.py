# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each way in which libvirt can move a running guest: nothing is lost in any of them."""

import os
import unittest

from bench import ledger
from lab import Guest, wait_until
from support import Case

VHOST = "/dev/vhost-net"
ARMED_TIMEOUT_S = 20
SLOW = ("--bandwidth", "6")  # MiB/s: the first pass takes many seconds, so that memory is left to be fetched afterwards
# (family, kind); the underlay makes no difference to libvirt, so that each is seen over one
OTHERS = {
    4: ((4, {"extra": ("--parallel", "--parallel-connections", "2")}), (6, {"way": "direct"})),
    6: ((4, {"way": "tunnelled"}), (6, {"extra": ("--unsafe", "--persistent", "--undefinesource")})),
}


class MoveKinds(Case):
    def postcopy(self, room, family):
        """The guest runs at the destination while most of its memory is still at the source."""
        def switch():
            wait_until(lambda: [port["state"] for port in ledger.ports(room.lab, source, room.guest.mac)] == ["armed"],
                       "armed old NVE", ARMED_TIMEOUT_S)
            wait_until(lambda: "Memory processed" in source.virsh("domjobinfo", room.guest.name, check=False),
                       "memory under way", ARMED_TIMEOUT_S)
            source.virsh("migrate-postcopy", room.guest.name)
        source = room.home
        told = self.assert_moves(room, family, extra=("--postcopy", *SLOW), during=switch)
        when = {(event["host"], event["what"], event["detail"].split(",")[0]): event["ms"]
                for event in told["timeline"]}
        self.assertIn((source.name, "qemu-migration", "postcopy-active"), when)
        completed = when.get((source.name, "qemu-migration", "completed"))  # it may come when the move is long over
        self.assertTrue(completed is None or told["guest_downtime_ms"] < completed)

    def check(self, underlay):
        room = self.room(underlay)
        for family in (4, 6):
            with self.subTest(kind="post-copy", family=family, underlay=underlay):
                self.postcopy(room, family)
        for family, kind in OTHERS[underlay]:
            with self.subTest(**kind, family=family, underlay=underlay):
                self.assert_moves(room, family, **kind)

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)


@unittest.skipUnless(os.path.exists(VHOST), f"the kernel has no vhost_net: there is no {VHOST}")
class Vhost(Case):
    """The kernel itself moves the packets between tap and guest."""

    def check(self, underlay):
        room = self.room(underlay, Guest(backend="vhost"))
        for family in (4, 6):
            self.assert_moves(room, family)

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
