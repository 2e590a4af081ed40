# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that bridges: behind its one NIC is a station with a MAC of its own, which has to follow it."""

from lab import Guest
from lab.image import DRIVERS, PROBE_PORT
from support import DOUBLED_PER_QUEUE, PPS, Case

INNER_MAC, INNER_IP4, INNER_IP6 = "52:54:00:bb:00:30", "198.51.100.30", "2001:db8:100::30"
MODULES = ("kernel/net/llc/llc.ko", "kernel/net/802/stp.ko", "kernel/net/bridge/bridge.ko", DRIVERS + "net/veth.ko")
# The guest's addresses go to br0; the station is a namespace behind br0.
SCRIPT = f"""
set -e
addresses=$(ip -o address show dev eth0 scope global | awk '{{ print $4 }}')
brctl addbr br0
ip link set br0 address "$(cat /sys/class/net/eth0/address)"
ip address flush dev eth0
brctl addif br0 eth0
ip link set br0 up
for address in $addresses; do ip address add "$address" dev br0; done
ip link add v0 type veth
brctl addif br0 v0
ip link set v0 up
mkfifo /tmp/go
unshare -n sh -c '
    read go < /tmp/go
    for conf in /proc/sys/net/ipv6/conf/*; do echo 0 > $conf/accept_dad; echo 0 > $conf/router_solicitations; done
    ip link set lo up
    ip link set veth0 address {INNER_MAC}
    ip address add {INNER_IP4}/24 dev veth0
    ip link set veth0 up
    ip address add {INNER_IP6}/64 dev veth0
    exec /bin/probe serve --port {PROBE_PORT}' &
station=$!
until [ "$(readlink /proc/$station/ns/net)" != "$(readlink /proc/1/ns/net)" ]; do usleep 1000; done
ip link set veth0 netns $station
echo go > /tmp/go
"""


class Nested(Case):
    def check(self, underlay, family):
        room = self.room(underlay, Guest(modules=MODULES, script=SCRIPT))
        inner = INNER_IP4 if family == 4 else INNER_IP6
        for _ in range(2):
            with self.counted(room, DOUBLED_PER_QUEUE,
                              (room.tenant(), room.address(family), {"pps": PPS // 2}),
                              (room.tenant(), inner, {"pps": PPS // 2, "tcp": True})):
                self.move(room)
            self.assert_at_home(room)
        for tenant in room.lab.tenants.values():
            self.assertTrue(tenant.ping(inner, count=3, timeout=3), f"{tenant.name} -> {inner}")

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
