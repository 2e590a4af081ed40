# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plain overlay: VXLAN with head-end replication, flood and learn. No control plane at all."""

from . import overlay


class Flood:
    """What is unknown goes to all; who has spoken is known until he speaks elsewhere."""

    name = "flood"

    def __init__(self, build=None):
        del build

    def up(self, lab):
        for host in lab.nves:
            overlay.add(host, learning=True)
            host.bridge("".join(
                f"fdb append 00:00:00:00:00:00 dev {overlay.VXLAN} dst {peer.vtep}\n"
                for peer in lab.nves if peer is not host))

    def down(self, lab):
        for host in lab.nves:
            overlay.remove(host)
