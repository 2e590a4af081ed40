# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hot moves there and back: guest IPv4 and IPv6, underlay IPv4 and IPv6."""

from bench.measure import hold_tcp
from support import Case


class Move(Case):
    """One TCP connection lives through both moves; each move is judged by support.Case.assert_moves()."""

    def there_and_back(self, underlay):
        room = self.room(underlay)
        self.assert_reachable(room)
        for family in (4, 6):
            with self.subTest(family=family, underlay=underlay):
                with hold_tcp(room, family) as held:
                    self.assert_moves(room, family)
                    self.assert_moves(room, family)
                self.assertTrue(held.result["alive"])
                self.assertGreater(held.result["echoes"], 0)

    def test_ipv4_underlay(self):
        self.there_and_back(4)

    def test_ipv6_underlay(self):
        self.there_and_back(6)
