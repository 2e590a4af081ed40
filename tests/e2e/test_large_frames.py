# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Jumbo frames, segmentation offload bundles and unfinished checksums: held and forwarded as they are, and right at the guest.

Tenants beside the guest on its old host leave checksums and segmentation to the device they send by (CHECKSUM_PARTIAL,
GSO: the kernel's Documentation/networking/checksum-offloads.rst), and so does the guest. With the virtio-net header left
out anywhere, the guest would drop such a frame.
"""

import contextlib

from bulk import SERVE, Bulk
from lab import Guest
from lab.capture import VXLAN_PORT, Capture
from support import DOUBLED_PER_QUEUE, PPS, Case, say

MTU, UNDERLAY_MTU = 8900, 9000
JUMBO = MTU + 14  # Ethernet
BULK_RATE = 8 << 20  # bytes/s: an emulated guest has time for it and the counted streams
FORWARD_PORTS = range(49152, 49152 + 1024)  # outer source ports of forward devices (nveagent/kernel_forward.h)


class LargeFrames(Case):
    @contextlib.contextmanager
    def bulk(self, tenant, address):
        """Context: bulk data flow, and each byte comes back as it was."""
        with Bulk(tenant, address, BULK_RATE) as bulk:
            yield
            sent, same, broken = bulk.finish()
        say(f"  {sent} bytes to {address} and back: {'the same' if same else 'NOT the same'}")
        self.assertIsNone(broken)
        self.assertTrue(same, f"{bulk.received} of {sent} bytes came back, or others")

    def assert_forwarded_whole(self, capture, mac):
        """Jumbo frames were forwarded, and bundles of more than one; else the test has shown nothing."""
        packets = [packet for packet in (frame.vxlan() for frame in capture.frames()) if packet]
        sizes = [packet.inner.size for packet in packets if packet.port in FORWARD_PORTS and packet.inner.to == mac]
        say(f"  forwarded: {len(sizes)} frames, {sizes.count(JUMBO)} jumbo, {sum(size > JUMBO for size in sizes)} bundles")
        self.assertIn(JUMBO, sizes)
        self.assertGreater(max(sizes), JUMBO)

    def check(self, underlay, family):
        room = self.room(underlay, Guest(mtu=MTU, script=SERVE), mtu=UNDERLAY_MTU)
        address, beside = room.address(family), room.tenant("source")
        with self.counted(room, DOUBLED_PER_QUEUE,
                          (room.tenant(), address, {"frame_size": JUMBO, "pps": PPS // 4}),
                          (beside, address, {"pps": PPS // 4})), self.bulk(beside, address), \
                Capture(room.home, "eth0", f"udp dst port {VXLAN_PORT}", "out") as capture:
            self.move(room)
        self.assert_forwarded_whole(capture, room.guest.mac)
        self.assert_at_home(room)
        self.assert_reachable(room)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
