# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A guest with two CPUs and two queues on its NIC: nothing is lost, and each flow keeps its order, whichever queue it takes.

The tun driver gives a flow's packets to the queue that the guest last used to answer it, or else to one by hash
(tun_select_queue() in the kernel's drivers/net/tun.c). Two servers, one on each CPU, use both, and answer in each flow: one
without answers changes its queue after three seconds, move or not (TUN_FLOW_EXPIRE).
"""

from lab import Guest
from support import DOUBLED_PER_QUEUE, PPS, Case

QUEUES = 2
SECOND_PORT = 7001
SCRIPT = f"""
taskset -p 1 1
taskset 2 /bin/probe serve --port {SECOND_PORT} &
"""


class Queues(Case):
    def queues_in_use(self, room):
        """How many queues the guest has had QEMU attach to its tap: a detached one names no device (tun_chr_show_fdinfo())."""
        shown = room.home.run(["sh", "-c", f"cat /proc/$(cat /run/libvirt/qemu/{room.guest.name}.pid)/fdinfo/*"], check=False)
        return sum(line.startswith("iff:\tvnet") for line in shown.stdout.splitlines())

    def check(self, underlay, family):
        room = self.room(underlay, Guest(queues=QUEUES, script=SCRIPT))
        tenant, address = room.tenant(), room.address(family)
        self.assertEqual(self.queues_in_use(room), QUEUES)
        with self.counted(room, DOUBLED_PER_QUEUE * QUEUES,
                          (tenant, address, {"flows": 4, "pps": PPS // 2, "tcp": True}),
                          (tenant, address, {"flows": 4, "pps": PPS // 2, "port": SECOND_PORT})):
            story = self.move(room)
        self.assertIn("steered", [what for _, _, what, _ in story])
        self.assertEqual(self.queues_in_use(room), QUEUES)
        self.assert_at_home(room)
        self.assert_reachable(room)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
