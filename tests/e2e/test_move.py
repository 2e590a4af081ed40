# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hot moves there and back: guest IPv4 and IPv6, underlay IPv4 and IPv6."""

from bench.measure import Load, hold_tcp, measure
from bench.room import Room
from support import BUILD, PPS, Case, say


class Move(Case):
    """
    One TCP connection lives through both moves; each move is judged by support.Case.assert_moves(). Of what all tenants
    ask by ARP and ND before and after, nothing is flooded.
    """

    def there_and_back(self, underlay):
        room = self.room(underlay)
        self.assert_reachable(room)
        for family in (4, 6):
            with self.subTest(family=family, underlay=underlay):
                with hold_tcp(room, family) as held:
                    for _ in range(2):
                        told = self.assert_moves(room, family, questions=True)
                        self.assertEqual((told["flooded_arp"], told["flooded_ns"]), (0, 0))
                self.assertTrue(held.result["alive"])
                self.assertGreater(held.result["echoes"], 0)

    def test_ipv4_underlay(self):
        self.there_and_back(4)

    def test_ipv6_underlay(self):
        self.there_and_back(6)

    def test_flood_is_counted(self):
        """The same count sees what a plain overlay floods: so none is none."""
        for underlay in (4, 6):
            with self.subTest(underlay=underlay), Room("flood", underlay, BUILD, say) as room:
                counts = measure(room, Load(PPS, questions=True)).flooded
                self.assertGreater(counts["flooded_arp"], 0)
                self.assertGreater(counts["flooded_ns"], 0)
