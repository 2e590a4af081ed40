# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with NICs in several VNIs moves with all of them at once; in each VNI nothing is lost."""

from bench import leftovers
from lab import Guest, Nic
from lab.lab import TENANTS
from support import DOUBLED_PER_QUEUE, PPS, Case

VNIS = (100, 200, 300)
# RFC 5737, RFC 3849 and, since there is no fourth net for documentation, RFC 2544
NETS = {100: ("198.51.100.", "2001:db8:100::"), 200: ("203.0.113.", "2001:db8:200::"), 300: ("198.18.0.", "2001:db8:300::")}


def nic_of(vni):
    """The guest's NIC in VNI; the same MAC in all of them, for a MAC is one of its VNI."""
    ip4, ip6 = NETS[vni]
    return Nic(ip4=ip4 + "10", ip6=ip6 + "10", bridge=f"br{vni}")


class Nics(Case):
    def furnish(self, room):
        """Tenants in each VNI as the lab has them in the first: {VNI: {host name: tenant}}."""
        tenants = {VNIS[0]: {host: room.lab.tenants[name] for name, (host, _) in TENANTS.items()}}
        for vni in VNIS[1:]:
            ip4, ip6 = NETS[vni]
            tenants[vni] = {
                host: room.lab.tenant(host, f"ts{vni}-{host}", f"br{vni}", mac=f"52:54:00:ab:{vni // 100:02x}:{number:02x}",
                                      ip4=f"{ip4}{number}", ip6=f"{ip6}{number}", vni=vni)
                for host, number in TENANTS.values()}
        room.baseline = leftovers.snapshot(room.lab, room.homes())
        return tenants

    def check(self, underlay, family):
        room = self.room(underlay, Guest(nics=[nic_of(vni) for vni in VNIS]), VNIS)
        tenants = self.furnish(room)
        targets = [(vni, nic.ip4 if family == 4 else nic.ip6) for vni, nic in zip(VNIS, room.guest.nics)]
        with self.counted(room, DOUBLED_PER_QUEUE,
                          *((tenants[vni]["peer"], address, {"pps": PPS // 2}) for vni, address in targets)):
            self.move(room)
        self.assert_at_home(room)
        for vni, address in targets:
            for tenant in tenants[vni].values():
                self.assertTrue(tenant.ping(address, count=3, timeout=3), f"{tenant.name} -> {address}")

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
