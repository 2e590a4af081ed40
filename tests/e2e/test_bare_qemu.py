# SPDX-License-Identifier: LGPL-2.1-or-later
"""
QEMU without libvirt: ports added by hand, `nvectl migrate --qmp` through pre-switchover, there and back; each move is counted, and
nothing may be lost, doubled or out of order: the guest's own ring says what it was given.
"""

import json
import time

from bench import ledger
from bench.fdb import FdbWatch
from bench.stream import Stream
from lab import Lab, incoming_uri, systems, wait_until
from lab.guest import uri_host
from lab.systems import overlay
from support import AGREE_TIMEOUT_S, BEFORE_S, BUILD, FRAME_SIZE, PPS, Case, say

MIGRATION_PORT = 4900
MOVES = 3
MIGRATE_TIMEOUT_S = 60


class BareQemu(Case):
    def add_port(self, lab, qemu):
        """`nvectl port add` for QEMU; its first monitor is the agent's from now on."""
        lab.system.ctl(qemu.host, "port", "add", "--qmp", qemu.monitor, "--tap", qemu.tap, "--mac", qemu.guest.mac,
                       "--vni", str(overlay.VNI), "--vm", qemu.guest.name, "--uuid", qemu.guest.uuid)

    def wait_ports(self, lab, wanted):
        """Waits until the states of the guest's ports are WANTED: {host name: [state]}."""
        def states():
            return {name: [port["state"] for port in ledger.ports(lab, lab[name], self.mac)] for name in wanted}
        wait_until(lambda: states() == wanted, f"ports {wanted}", AGREE_TIMEOUT_S, poll=0.1)

    def migrate(self, lab, source, target):
        """`nvectl migrate --qmp`; what it prints as JSON."""
        to = f"{uri_host(target.host.vtep)}:{MIGRATION_PORT}"
        done = source.host.run(
            [lab.system.program("nvectl"), "migrate", "--qmp", source.monitor2, "--to", to, "--mac", self.mac,
             "--vni", str(overlay.VNI), "--json"], timeout=MIGRATE_TIMEOUT_S)
        return json.loads(done.stdout)

    @staticmethod
    def downtime_s(source, target):
        """From the source's STOP to the destination's RESUME, by QEMU's timestamps."""
        stop, resume = (event["timestamp"] for event in (source.qmp.wait_event("STOP"), target.qmp.wait_event("RESUME")))
        return resume["seconds"] - stop["seconds"] + (resume["microseconds"] - stop["microseconds"]) / 1e6

    def assert_moved(self, lab, told, report, downtime_s):
        self.assertEqual((told["result"], told["vm_at"]), ("moved", "destination"), told)
        say(f"  stood still {downtime_s * 1000:.1f} ms")
        self.assert_counts(report, 0, f"{self.guest.name}")
        self.assertTrue(report["tcp"]["alive"])
        for tenant in lab.tenants.values():
            self.assertTrue(tenant.ping(self.guest.ip4, 3, 3) and tenant.ping(self.guest.ip6, 3, 3), tenant.name)
        self.assertEqual(ledger.disagreements(lab), [])

    def assert_exact(self, found):
        """The old NVE found out what QEMU swallowed, and guessed nothing."""
        notes = {event["what"]: event.get("detail") for _, move in found if move["role"] == "old" for event in move["events"]}
        say(f"  exact: {notes.get('exact')}; released: {notes.get('released')}")
        self.assertIn("exact", notes)
        self.assertIn(" 0 perhaps", notes["released"])

    def move(self, lab, source, host, address):
        """Moves the guest from the QEMU SOURCE to a new one on HOST, under load; the new one."""
        began_us = time.time_ns() // 1000
        target = lab.qemu_start(host, self.guest, incoming=incoming_uri(lab[host], MIGRATION_PORT))
        self.add_port(lab, target)
        tracks = [watch.begin(self.mac) for watch in self.watches if watch.host is not target.host]
        with Stream(lab, lab.tenants["ts-peer"], f"{BUILD}/tests/lab/probe", address, PPS, FRAME_SIZE, True) as stream:
            stream.run_for(BEFORE_S)
            told = self.migrate(lab, source, target)
            wait_until(lambda: all(track.settled_us(target.host.vtep) for track in tracks), "new place in all FDBs")
            stream.run_for(1)
            report = stream.finish()
        self.assert_moved(lab, told, report, self.downtime_s(source, target))
        source.stop()
        self.wait_ports(lab, {source.host.name: [], host: ["resident"]})
        self.assert_exact(ledger.wait_over(lab, began_us))
        for hypervisor in lab.hypervisors:
            self.assertNotIn("rhf", hypervisor.run(["ip", "link", "show"]).stdout)
        return target

    def check(self, underlay, family):
        lab = self.enterContext(Lab(systems.by_name("rehome", BUILD), underlay, build=BUILD, libvirtd=False, say=say))
        self.watches = [FdbWatch(host, overlay.VXLAN) for host in lab.nves]
        qemu = lab.qemu_start("hv1")
        self.guest, self.mac = qemu.guest, qemu.guest.mac
        self.add_port(lab, qemu)
        lab.wait_guest(self.guest, "hv1")
        self.wait_ports(lab, {"hv1": ["resident"], "hv2": []})
        for number in range(MOVES):
            qemu = self.move(lab, qemu, ("hv2", "hv1")[number % 2], self.guest.ip4 if family == 4 else self.guest.ip6)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
