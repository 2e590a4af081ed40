# SPDX-License-Identifier: LGPL-2.1-or-later
"""Firewalls on both hypervisors that let only established connections through: a VM's go on after its move."""

import contextlib
import os
import socket
import time

from bench import ledger
from bench.room import Room
from lab import Guest, wait_until
from lab.systems.rehome import Rehome
from support import BUILD, KEEP_LOGS, Case, say

CALL_PORT = 7100
ECHO_TIMEOUT_S = 10
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


class Conntrack(Case):
    def setUp(self):
        if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
            self.skipTest("the kernel has no br_netfilter")

    def furnish(self, underlay, family, zone="0"):
        """A room whose hypervisors have the firewall, and a call from its guest."""
        peer = {4: "198.51.100.20", 6: "2001:db8:100::20"}[family]
        guest = Guest(cmdline=f"rehome.call={peer}/{CALL_PORT}")
        room = Room("rehome", underlay, BUILD, say, guest, keep_logs=KEEP_LOGS)
        room.lab.system = Rehome(BUILD, vni={"conntrack-zone": zone})
        self.enterContext(room)
        for host in room.lab.hypervisors:
            host.run(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1"])
            host.run(["nft", "-f", "-"], input=FIREWALL.format(ip4=guest.ip4, ip6=guest.ip6))
        with room.tenant().namespace():
            listener = socket.create_server((peer, CALL_PORT), family=socket.AF_INET6 if family == 6 else socket.AF_INET)
        with listener:
            call = Call(listener)
        self.addCleanup(call.close)
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        return room, call

    @staticmethod
    def close_the_door(room):
        for host in room.lab.hypervisors:
            host.run(["nft", "flush", "chain", "inet", "fw", "newcomers"])

    def move(self, room):
        began_us = time.time_ns() // 1000
        room.lab.migrate(room.guest, room.home, room.other())
        room.home = room.other()
        return ledger.wait_over(room.lab, began_us)

    def entries(self, host, address):
        """`conntrack -L` lines of ADDRESS on HOST."""
        family = "ipv6" if ":" in address else "ipv4"
        lines = host.run(["conntrack", "-L", "-f", family], check=False).stdout.splitlines()
        return [line for line in lines if f"src={address} " in line and "icmp" not in line]

    def told(self, moves, role):
        """What the ledger of the NVE in ROLE says of connection tracking."""
        (move,) = (move for _, move in moves if move["role"] == role)
        return [event["detail"] for event in move["events"]
                if event["what"] == "conntrack" or "conntrack" in event.get("detail", "")]

    def check_survival(self, underlay, family):
        room, call = self.furnish(underlay, family)
        address, old = room.address(family), room.home
        with self.nothing_lost(room, family):
            self.close_the_door(room)
            self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
            before = self.entries(old, address)
            self.assertGreaterEqual(len(before), 3, before)  # the call, the probe's TCP and UDP
            moves = self.move(room)
            self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        say(f"old NVE: {self.told(moves, 'old')}; new NVE: {self.told(moves, 'new')}")
        sent = [detail for detail in self.told(moves, "old") if "entries sent" in detail]
        self.assertEqual(len(sent), 1, self.told(moves, "old"))
        count = int(sent[0].split()[0])
        self.assertGreaterEqual(count, len(before))
        self.assertEqual(self.told(moves, "new"), [f"{count} entries installed"])
        # All other ends are on the peer: nobody at the old host needs the entries.
        wait_until(lambda: not self.entries(old, address), "end of the entries at the old host", ECHO_TIMEOUT_S)
        self.assertFalse(room.tenant().connects(address, 7000, 1.0), "the firewall lets everybody in")

    def test_ipv4(self):
        self.check_survival(underlay=4, family=4)

    def test_ipv6(self):
        self.check_survival(underlay=6, family=6)

    def test_dies_without(self):
        """The firewall is what it is meant to be: where entries stay behind, the call ends."""
        for family in (4, 6):
            with self.subTest(family=family):
                room, call = self.furnish(4, family, zone="none")
                self.close_the_door(room)
                self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
                moves = self.move(room)
                self.assertEqual(self.told(moves, "old") + self.told(moves, "new"), [])
                self.assertFalse(call.echoes(SILENCE_S))

    def test_abort(self):
        """Aborted in pre-copy, nothing of it is at the other host; the call goes on."""
        room, call = self.furnish(4, 4)
        self.close_the_door(room)
        migration = room.lab.migration(room.guest, room.home, room.other(), extra=["--bandwidth", "1"])
        wait_until(lambda: [port["state"] for port in ledger.ports(room.lab, room.home, room.guest.mac)] == ["armed"],
                   "armed old NVE", ECHO_TIMEOUT_S)
        migration.abort()
        self.assertIsNone(migration.wait(check=False))
        self.assert_at_home(room)
        self.assertTrue(call.echoes(ECHO_TIMEOUT_S))
        self.assertEqual(self.entries(room.other(), room.guest.ip4), [])
        self.assertGreaterEqual(len(self.entries(room.home, room.guest.ip4)), 1)
