# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What stands beside a VM that moved, on its old host, its new one and a third: namespaces directly on the VN with stock
kernels that take nothing from a GARP or an unsolicited NA. Judges: ip -s neigh, iputils arping, ndisc6, ping.
"""

import json
import re

from lab import wait_until
from support import Case

# They learn of a neighbour by asking only.
DEAF = ("net.ipv4.conf.all.arp_accept=0", "net.ipv4.conf.eth0.arp_accept=0",
        "net.ipv6.conf.all.accept_untracked_na=0", "net.ipv6.conf.eth0.accept_untracked_na=0")
UNUSABLE = {"FAILED", "INCOMPLETE", "NONE"}


class Neighbours(Case):
    def entry(self, tenant, address):
        """The row of `ip -s neigh`, or {}."""
        shown = tenant.run(["ip", "-s", "-j", "neigh", "show", address, "dev", "eth0"]).stdout
        return next(iter(json.loads(shown or "[]")), {})

    def assert_entry(self, tenant, address, mac, when):
        row = self.entry(tenant, address)
        said = f"{when}: {tenant.name} has {row} for {address}"
        self.assertEqual(row.get("lladdr"), mac, said)
        self.assertFalse(UNUSABLE & set(row["state"]), said)

    def answers(self, tenant, address):
        """The MACs that answer one question for ADDRESS: each answer counts."""
        if ":" in address:
            told = tenant.run(["ndisc6", "-m", "-r1", "-w500", address, "eth0"], check=False).stdout
            return re.findall(r"link-layer address: (\S+)", told.lower())
        told = tenant.run(["arping", "-I", "eth0", "-c1", "-w2", address], check=False).stdout.lower()
        macs = re.findall(r"reply from \S+ \[(\S+)\]", told)
        self.assertIn(f"received {len(macs)} response(s)", told)  # those that came after it are in its count alone
        return macs

    def assert_right(self, room, when):
        guest = room.guest
        for tenant in room.lab.tenants.values():
            for address in (guest.ip4, guest.ip6):
                self.assert_entry(tenant, address, guest.mac, when)  # what it had before is right, unasked
                self.assertTrue(tenant.ping(address, count=5, timeout=3), f"{when}: {tenant.name} to {address}")
                self.assert_entry(tenant, address, guest.mac, when)
                self.assertEqual(self.answers(tenant, address), [guest.mac], f"{when}: {tenant.name} asks for {address}")
                tenant.run(["ip", "neigh", "del", address, "dev", "eth0"])
                self.assertTrue(tenant.ping(address, timeout=3), f"{when}: {tenant.name} to {address}, as a stranger")
                self.assert_entry(tenant, address, guest.mac, when)

    def know_all(self, room):
        """Each tenant has both addresses of the guest."""
        for tenant in room.lab.tenants.values():
            tenant.run(["sysctl", "-qw", *DEAF])
            for address in (room.guest.ip4, room.guest.ip6):
                wait_until(lambda t=tenant, a=address: t.ping(a, timeout=3), f"{address} from {tenant.name}", 20)

    def check(self, underlay):
        room = self.room(underlay)
        self.know_all(room)
        self.assert_right(room, "before any move")
        for number in (1, 2):
            self.move(room)
            self.assert_right(room, f"after move {number}, at {room.home.name}")
            self.assert_at_home(room)
            self.know_all(room)

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
