# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest without any IP address: known by its MAC alone, it moves all the same and no frame is lost."""

from bench import ledger
from frames import Echoes
from lab import Guest, Nic
from support import DOUBLED_PER_QUEUE, PPS, Case, say

GUEST = {"nics": [Nic(ip4=None, ip6=None)], "cmdline": "ipv6.disable=1", "script": "/bin/probe reflect &"}


class NoIp(Case):
    def check(self, underlay):
        room = self.room(underlay, Guest(**GUEST))
        tenant = room.tenant()
        for _ in range(2):  # there and back: the directory keeps no address to remember it by
            with Echoes(tenant, room.guest.mac, PPS) as echoes:
                echoes.run_for(1)
                self.move(room)
                echoes.run_for(1)
                report = echoes.finish()
            say(f"  there and back: {report}")
            self.assertEqual((report["lost"], report["reordered"]), (0, 0), report)
            self.assertLessEqual(report["duplicated"], DOUBLED_PER_QUEUE, report)
            self.assert_at_home(room)
            for host in room.lab.nves:
                self.assertEqual([mapping["ips"] for mapping in ledger.mappings(room.lab, host, room.guest.mac)], [[]])

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
