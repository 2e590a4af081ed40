# SPDX-License-Identifier: LGPL-2.1-or-later
"""Firewalls on both hypervisors that let only established connections through: a VM's go on after its move."""

import contextlib
import os
import re
import socket
import time

from bench import leftovers, ledger
from bench.room import Room
from bench.stream import Stream
from lab import Guest, Lab, incoming_uri, wait_until
from lab.systems import overlay
from lab.systems.rehome import Rehome
from support import AGREE_TIMEOUT_S, BUILD, FRAME_SIZE, KEEP_LOGS, PPS, Case, say

CALL_PORT = 7100
ECHO_TIMEOUT_S = 10
DOUBLED_MAX = 2  # what QEMU may have delivered is sent again: decisions/0005
MIGRATION_PORT = 4900
MIGRATION_CAPABILITIES = ("events", "pause-before-switchover")
SENT = re.compile(r"(\d+) entries sent")
INSTALLED = re.compile(r"(\d+) entries installed, (\d+) brought up to date")
SILENCE_S = 3  # several retransmissions of TCP
CALL_TIMEOUT_S = 30
# Bridged frames of the VM, both families (br_netfilter). Whoever is in `newcomers` may begin a connection.
FIREWALL = """
table inet fw {{
    chain newcomers {{ accept; }}
    chain judge {{ ct state established accept; ct state new jump newcomers; counter drop; }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip saddr {ip4} jump judge; ip daddr {ip4} jump judge
        ip6 saddr {ip6} jump judge; ip6 daddr {ip6} jump judge
    }}
}}
"""


class Call:
    """A TCP connection that the guest opened to the tenant on the peer, where its bytes come back (rehome.call)."""

    def __init__(self, listener):
        listener.settimeout(CALL_TIMEOUT_S)
        self._socket, _ = listener.accept()
        self._sent = 0

    def echoes(self, timeout):
        """Whether what we say now, and all we said before, has come back within TIMEOUT."""
        self._sent += 1
        line = b"%d\n" % self._sent
        self._socket.settimeout(timeout)
        self._socket.sendall(line)
        heard = b""
        with contextlib.suppress(TimeoutError):
            while not heard.endswith(line):
                data = self._socket.recv(4096)
                if not data:
                    return False
                heard += data
        return heard.endswith(line)

    def close(self):
        self._socket.close()


def peer_address(family):
    """Of ts-peer, whom the guest calls."""
    return {4: "198.51.100.20", 6: "2001:db8:100::20"}[family]


def calling_guest(family):
    return Guest(cmdline=f"rehome.call={peer_address(family)}/{CALL_PORT}")


def entries(host, address):
    """`conntrack -L` lines of ADDRESS on HOST."""
    family = "ipv6" if ":" in address else "ipv4"
    lines = host.run(["conntrack", "-L", "-f", family], check=False).stdout.splitlines()
    return [line for line in lines if f"src={address} " in line and "icmp" not in line]


def told(moves, role):
    """What the ledger of the NVE in ROLE says of connection tracking."""
    (move,) = (move for _, move in moves if move["role"] == role)
    return [event["detail"] for event in move["events"]
            if event["what"] == "conntrack" or "conntrack" in event.get("detail", "")]


class Conntrack(Case):
    def setUp(self):
        if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
            self.skipTest("the kernel has no br_netfilter")

    def fortify(self, lab, guest, family):
        """Firewalls on both hypervisors, and a call from GUEST, already running, through them."""
        for host in lab.hypervisors:
            host.run(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1"])
            host.run(["nft", "-f", "-"], input=FIREWALL.format(ip4=guest.ip4, ip6=guest.ip6))
        with lab.tenants["ts-peer"].namespace():
            listener = socket.create_server((peer_address(family), CALL_PORT),
                                            family=socket.AF_INET6 if family == 6 else socket.AF_INET)
        with listener:
            call = Call(listener)
        self.addCleanup(call.close)
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        return call

    def close_the_door(self, lab, call):
        for host in lab.hypervisors:
            host.run(["nft", "flush", "chain", "inet", "fw", "newcomers"])
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))

    def furnish(self, underlay, family, zone="0"):
        """A room with that, and the call."""
        room = Room("rehome", underlay, BUILD, say, calling_guest(family), keep_logs=KEEP_LOGS)
        room.lab.system = Rehome(BUILD, vni={"conntrack-zone": zone})
        self.enterContext(room)
        call = self.fortify(room.lab, room.guest, family)
        return room, call

    @staticmethod
    def move(room):
        began_us = time.time_ns() // 1000
        room.lab.migrate(room.guest, room.home, room.other())
        room.home = room.other()
        return ledger.wait_over(room.lab, began_us)

    def assert_followed(self, moves, least):
        """As many entries were installed as were sent, when armed and at the stop; LEAST or more; in time."""
        say(f"old NVE: {told(moves, 'old')}; new NVE: {told(moves, 'new')}")
        sent = [int(found[1]) for found in map(SENT.fullmatch, told(moves, "old")) if found]
        taken = [sum(map(int, found.groups())) for found in map(INSTALLED.fullmatch, told(moves, "new")) if found]
        self.assertEqual(len(sent), 2)
        self.assertEqual(taken, sent)
        self.assertGreaterEqual(sent[-1], least)

    def check_survival(self, underlay, family):
        room, call = self.furnish(underlay, family)
        address, old = room.address(family), room.home
        with Stream(room.lab, room.tenant(), room.probe, address, PPS, FRAME_SIZE, tcp=True) as stream:
            self.close_the_door(room.lab, call)
            before = entries(old, address)
            self.assertGreaterEqual(len(before), 3, before)  # the call, the probe's TCP and UDP
            moves = self.move(room)
            self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
            report = stream.finish()
        for name in ("down", "up"):
            self.assertEqual(report[name]["lost"], 0, report[name])
            self.assertLessEqual(report[name]["duplicated"], DOUBLED_MAX, report[name])
        self.assertTrue(report["tcp"]["alive"])
        self.assert_followed(moves, len(before))
        # All other ends are on the peer: nobody at the old host needs the entries.
        wait_until(lambda: not entries(old, address), "end of the entries at the old host", ECHO_TIMEOUT_S)
        self.assertFalse(room.tenant().connects(address, 7000), "the firewall lets everybody in")

    def test_ipv4(self):
        self.check_survival(underlay=4, family=4)

    def test_ipv6(self):
        self.check_survival(underlay=6, family=6)

    def test_dies_without(self):
        """The firewall is what it is meant to be: where entries stay behind, the call ends."""
        for family in (4, 6):
            with self.subTest(family=family):
                room, call = self.furnish(4, family, zone="none")
                self.close_the_door(room.lab, call)
                moves = self.move(room)
                self.assertEqual(told(moves, "old") + told(moves, "new"), [])
                self.assertFalse(call.echoes(SILENCE_S))

    def test_abort(self):
        """Aborted in pre-copy, nothing of it stays at the other host; the call goes on."""
        room, call = self.furnish(4, 4)
        self.close_the_door(room.lab, call)
        room.baseline = leftovers.snapshot(room.lab, room.homes())
        migration = room.lab.migration(room.guest, room.home, room.other(), extra=["--bandwidth", "1"])
        wait_until(lambda: [port["state"] for port in ledger.ports(room.lab, room.home, room.guest.mac)] == ["armed"],
                   "armed old NVE", AGREE_TIMEOUT_S)
        wait_until(lambda: entries(room.other(), room.guest.ip4), "entries at the new host", ECHO_TIMEOUT_S)
        migration.abort()
        self.assertIsNone(migration.wait(check=False))
        self.assert_at_home(room)
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        self.assertEqual(entries(room.other(), room.guest.ip4), [])
        self.assertGreaterEqual(len(entries(room.home, room.guest.ip4)), 1)

    def check_rollback(self, family):
        """Cancelled when the guest has stopped and its entries are at the new host already: there they go again."""
        lab = self.enterContext(Lab(Rehome(BUILD), family, build=BUILD, libvirtd=False, say=say, keep_logs=KEEP_LOGS))
        source = lab.qemu_start("hv1", calling_guest(family))
        self.add_port(lab, source)
        lab.wait_guest(source.guest, "hv1")
        call = self.fortify(lab, source.guest, family)
        self.close_the_door(lab, call)
        target = lab.qemu_start("hv2", source.guest, incoming=incoming_uri(lab["hv2"], MIGRATION_PORT))
        self.add_port(lab, target)
        address = source.guest.ip4 if family == 4 else source.guest.ip6
        source.qmp.execute("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in MIGRATION_CAPABILITIES])
        source.migrate_to(target.host, MIGRATION_PORT)
        source.qmp.wait_event("MIGRATION", status="pre-switchover")
        wait_until(lambda: entries(target.host, address), "entries at the new host", ECHO_TIMEOUT_S)
        source.qmp.execute("migrate_cancel")
        wait_until(lambda: not entries(target.host, address), "end of the entries at the new host", ECHO_TIMEOUT_S)
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        self.assertGreaterEqual(len(entries(source.host, address)), 1)

    @staticmethod
    def add_port(lab, qemu):
        """`nvectl port add` for QEMU; its first monitor is the agent's from now on."""
        lab.system.ctl(qemu.host, "port", "add", "--qmp", qemu.monitor, "--tap", qemu.tap, "--mac", qemu.guest.mac,
                       "--vni", str(overlay.VNI), "--vm", qemu.guest.name, "--uuid", qemu.guest.uuid)

    def test_rollback_ipv4(self):
        self.check_rollback(4)

    def test_rollback_ipv6(self):
        self.check_rollback(6)
