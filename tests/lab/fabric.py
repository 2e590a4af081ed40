# SPDX-License-Identifier: LGPL-2.1-or-later
"""The underlay: one bridge in a namespace of its own, one veth to each host. No route leaves it."""

import subprocess

from .namespaces import Holder

NET4, LEN4 = "192.0.2.{}", 24  # RFC 5737
NET6, LEN6 = "2001:db8::{}", 64  # RFC 3849; the same digits, so nva is .10 and ::10
OVERHEAD = 100  # of VXLAN over IPv6 (70 bytes, RFC 7348 section 5), and some room
MTU = 1500 + OVERHEAD


def address(number, family):
    return (NET4 if family == 4 else NET6).format(number)


class Fabric:
    """The switch between the hosts."""

    def __init__(self, mtu=MTU):
        self.mtu = mtu
        self.holder = Holder("fabric")
        self._ip("link add name underlay type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"
                 f"link set dev underlay mtu {mtu} addrgenmode none up\n")

    def _ip(self, batch):
        self.holder.run(["ip", "-batch", "-"], input=batch)

    def join(self, host, family):
        """Gives HOST its eth0 and both addresses; FAMILY chooses which one is its VTEP."""
        host.ip4, host.ip6 = address(host.number, 4), address(host.number, 6)
        host.vtep = host.ip4 if family == 4 else host.ip6
        # In the machine's pid namespace, for `netns PID` is looked up in the caller's.
        link = (f"ip link add name {host.name} mtu {self.mtu} type veth "
                f"peer name eth0 mtu {self.mtu} netns {host.holder.pid}")
        subprocess.run(["nsenter", "--target", str(self.holder.pid), "--net", "--", *link.split()], check=True)
        self._ip(f"link set dev {host.name} master underlay addrgenmode none up\n")
        host.ip(f"address add {host.ip4}/{LEN4} dev eth0\n"
                f"address add {host.ip6}/{LEN6} dev eth0 nodad\n"
                "link set dev eth0 up\n")

    def link(self, host, state):
        """Pulls (down) or plugs (up) the cable of HOST."""
        self._ip(f"link set dev {host.name} {state}\n")

    def close(self):
        self.holder.close()
