# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that bridges: behind its one NIC is a station with a MAC of its own, which has to follow it."""

from bench import ledger
from bench.stream import Stream
from lab import Guest, wait_until
from lab.image import DRIVERS, PROBE_PORT
from support import DOUBLED_PER_QUEUE, FRAME_SIZE, PPS, Case, say

LEARN_S = 0.5
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
    """
    Only the guest's own MAC is known to be about to leave. The station's is learned at the new place like any other: from
    what the station sends first there. Until then what is sent to it is lost (docs/operations.md, "Stations behind a VM").
    """

    def assert_followed(self, report, what):
        """Lost was nothing but what was sent to the station while the guest stood still, and until it was heard again."""
        down, up = report["down"], report["up"]
        said = f"{what}: {down}"
        say(f"  {what} down: lost {down['lost']} of {down['sent']}, silent for {down['host']['longest_gap_ms']} ms")
        self.assertEqual((up["lost"], up["duplicated"], up["reordered"]), (0, 0, 0), f"{what}: {up}")
        self.assertEqual((down["duplicated"], down["reordered"]), (0, 0), said)
        self.assertLessEqual(down["lost_ranges_total"], 2, said)  # one silence, and at most one frame that QEMU swallowed
        self.assertLess(down["lost"], report["down_pps"] * (down["host"]["longest_gap_ms"] / 1000 + LEARN_S), said)

    def check(self, underlay, family):
        room = self.room(underlay, Guest(modules=MODULES, script=SCRIPT, stations=(INNER_MAC,)))
        inner = INNER_IP4 if family == 4 else INNER_IP6
        with self.counted(room, DOUBLED_PER_QUEUE, (room.tenant(), room.address(family), {"pps": PPS // 2})), \
                Stream(room.lab, room.tenant(), room.probe, inner, PPS // 2, FRAME_SIZE, tcp=True) as stream:
            self.move(room)
            stream.run_for(1)
            report = stream.finish()
        self.assert_followed(report, inner)
        self.assertTrue(report["tcp"]["alive"])
        self.assert_at_home(room)
        self.assert_learned(room)
        for tenant in room.lab.tenants.values():
            self.assertTrue(tenant.ping(inner, count=3, timeout=3), f"{tenant.name} -> {inner}")

    def assert_learned(self, room):
        """Every NVE has the station's MAC at the guest's host."""
        def places():
            return {host.name: [mapping["vtep"] for mapping in ledger.mappings(room.lab, host, INNER_MAC)]
                    for host in room.lab.nves}
        wanted = {host.name: [room.home.vtep] for host in room.lab.nves}
        wait_until(lambda: places() == wanted, f"{INNER_MAC} at {room.home.name}: {places()}")

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
