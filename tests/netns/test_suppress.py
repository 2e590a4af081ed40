#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
ARP and ND answered by the NVE, with real agents and a real NVA, tenants in namespaces, and stock tools as judges:
arping, ndisc6, ip neigh, and tshark for what crossed the underlay. Needs root; both underlay families.

usage: test_suppress.py BUILD-DIRECTORY FAKE-NVA NVA NVEAGENT NVECTL [UNITTEST-ARGUMENT...]
(the last three only so that meson builds them first)
"""

import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(TESTS), str(TESTS / "lib")]
from lab import Lab, wait_until  # noqa: E402
from lab.guest import uri_host  # noqa: E402
from lab.systems.rehome import NVA_PORT, Rehome  # noqa: E402
from tenants import arp, mac_bytes, speak  # noqa: E402

BUILD = FAKE_NVA = ""
SKIP = 77
# What the bridge floods over VXLAN when it cannot answer; of NA, what is not the answer to one asker.
FLOODED = "vxlan && (arp || icmpv6.type == 135 || (icmpv6.type == 136 && icmpv6.nd.na.flag.s == 0))"
STRANGER, OTHER, IDLE = "52:54:00:aa:00:77", "52:54:00:aa:00:78", "52:54:00:aa:00:79"
SLOW_S = 60  # for what comes after some 100,000 notices, on a busy machine
WITHDRAWN_S = 1.0  # at most, from a withdrawal that an NVE was told of until its kernel has nothing of it
ANSWER_S = 10  # for the one answer to a question that is not repeated
LOST = 60000  # notices: the agent's socket holds 40,000 (kernel_watch.c)
IP4, IP6 = "198.51.100.77", "2001:db8:100::77"


def say(text):
    print(text, flush=True)


class Capture:
    """What crosses the underlay at HOST while the block runs: .count(FILTER) in tshark's words."""

    def __init__(self, host):
        self.host, self.file = host, host.path("/run/underlay.pcap")

    def __enter__(self):
        self.process = self.host.popen(["tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-w", "/run/underlay.pcap",
                                        "udp port 4789 or icmp or icmp6"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on" in line:
                return self
        raise AssertionError("tcpdump did not start")

    def __exit__(self, *error):
        """A packet that comes after all that matters: when it is in the file, that is too."""
        if error[0] is None:
            mark = self.host.ip4[:-1] + "10"  # the NVA's host
            self.host.run(["ping", "-c1", "-s", "1111", mark])
            wait_until(lambda: self.count("icmp && ip.len == 1139") >= 2, "mark in the capture")
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.process.stderr.close()

    def lines(self, wanted):
        done = subprocess.run(["tshark", "-n", "-r", self.file, "-d", "udp.port==4789,vxlan", "-Y", wanted],
                              capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    def count(self, wanted):
        return len(self.lines(wanted))


class Case(unittest.TestCase):
    underlay = 4

    def neighbours(self, host, mark="extern_learn"):
        """{address: MAC} of the entries of br100 that bear our mark."""
        told = {}
        for family in ("-4", "-6"):
            words = ["ip", family, "-d", "neigh", "show", "dev", "br100", "nud", "all"]
            for line in host.run(words).stdout.splitlines():
                fields = line.split()
                if mark in fields:
                    told[fields[0]] = fields[fields.index("lladdr") + 1]
        return told

    def wait_neighbours(self, host, wanted, timeout=10.0):
        """Until each {address: MAC or None} of WANTED is so; how long it took."""
        started = time.monotonic()

        def so():
            told = self.neighbours(host)
            return all(told.get(address) == mac for address, mac in wanted.items())
        wait_until(so, f"neighbours {wanted} on {host.name}", timeout)
        return time.monotonic() - started

    def arping(self, tenant, address, *more):
        """The MACs that answer ARP for ADDRESS, in lower case."""
        done = tenant.run(["arping", "-I", "eth0", "-c1", "-w2", *more, address], check=False)
        return [mac.lower() for mac in re.findall(r"reply from \S+ \[(\S+)\]", done.stdout)]

    def ndisc(self, tenant, address, seconds=2):
        done = tenant.run(["ndisc6", "-1", "-r1", f"-w{seconds * 1000}", address, "eth0"], check=False)
        return [mac.lower() for mac in re.findall(r"link-layer address: (\S+)", done.stdout)]

    def resolve(self, tenant, address):
        return self.ndisc(tenant, address) if ":" in address else self.arping(tenant, address)

    def counters(self, host):
        status = json.loads(self.lab.system.ctl(host, "--json", "status").stdout)
        return status["vnis"][0]["suppression"]


class WithNva(Case):
    """Two NVEs and a third, a real NVA."""

    def setUp(self):
        system = Rehome(BUILD, agent={"libvirt-uri": "none"})
        self.lab = self.enterContext(Lab(system, self.underlay, build=BUILD, libvirtd=False, say=say))
        self.here, self.there, self.third = (self.lab.tenants[name] for name in ("ts-hv1", "ts-hv2", "ts-peer"))
        self.host = self.here.host
        self.make_known()

    def make_known(self):
        """A MAC is watched from its first frame on: what later ones say is known everywhere."""
        known = {a: t.mac for t in self.lab.tenants.values() for a in (t.ip4, t.ip6)}

        def so():
            if all(self.neighbours(host).items() >= known.items() for host in self.lab.nves):
                return True
            for tenant in self.lab.tenants.values():
                speak(tenant)
            return False
        wait_until(so, f"{known} everywhere")

    def test_known_targets_are_answered_and_nothing_is_flooded(self):
        with Capture(self.host) as capture:
            for address in (self.there.ip4, self.there.ip6, self.third.ip4, self.third.ip6):
                owner = self.there if address in (self.there.ip4, self.there.ip6) else self.third
                self.assertEqual(self.resolve(self.here, address), [owner.mac], address)
            self.assertTrue(self.here.ping(self.there.ip4, 3) and self.here.ping(self.there.ip6, 3))
        self.assertEqual(capture.lines(FLOODED), [])
        self.assertGreater(capture.count("vxlan && (icmp || icmpv6.type == 128)"), 0)

    def test_an_announcement_stays_where_it_is(self):
        with Capture(self.host) as capture:
            self.here.run(["arping", "-U", "-I", "eth0", "-c1", self.here.ip4], check=False)
            self.here.run(["arping", "-A", "-I", "eth0", "-c1", self.here.ip4], check=False)
        self.assertEqual(capture.lines(FLOODED), [])

    def test_an_address_in_use_is_defended(self):
        with Capture(self.host) as capture:
            self.assertEqual(self.arping(self.here, self.there.ip4, "-D"), [self.there.mac])
            self.here.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1"])
            self.here.run(["ip", "address", "add", f"{self.there.ip6}/64", "dev", "eth0"])
            self.wait_dad(self.there.ip6)
            self.assertIn("dadfailed", self.flags(self.there.ip6))
        self.assertEqual(capture.lines(FLOODED), [])
        self.assertGreaterEqual(self.counters(self.host)["answered"], 2)

    def wait_dad(self, address):
        def over():
            flags = self.flags(address)
            return flags and ("dadfailed" in flags or "tentative" not in flags)
        wait_until(over, f"end of DAD for {address}")

    def flags(self, address):
        shown = self.here.run(["ip", "-6", "address", "show", "dev", "eth0"]).stdout
        return next((line for line in shown.splitlines() if f" {address}/" in line), "")

    def test_a_free_address_and_ones_own_are_not(self):
        self.assertEqual(self.arping(self.here, "198.51.100.99", "-D"), [])
        self.assertEqual(self.arping(self.here, self.here.ip4, "-D"), [])
        self.here.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1"])
        for address in ("2001:db8:100::98", self.here.ip6):
            self.here.run(["ip", "address", "del", f"{address}/64", "dev", "eth0"], check=False)
            self.here.run(["ip", "address", "add", f"{address}/64", "dev", "eth0"])
            self.wait_dad(address)
            self.assertNotIn("dadfailed", self.flags(address))

    def told(self, host, tenant):
        """What the kernel of HOST has of TENANT with our mark: addresses, and lines of the bridge's and the VXLAN FDB."""
        shown = host.run(["bridge", "fdb", "show", "dev", "vx100"]).stdout.splitlines()
        return ({address for address, mac in self.neighbours(host).items() if mac == tenant.mac} |
                {line for line in shown if line.startswith(tenant.mac) and "extern_learn" in line})

    def mapping(self, host, tenant):
        found = json.loads(self.lab.system.ctl(host, "--json", "mappings").stdout)["mappings"]
        return next((entry for entry in found if entry["mac"] == tenant.mac), None)

    def wait_nothing_told(self, host, tenant):
        """Until nothing is left in the kernel; how long it took."""
        started = time.monotonic()
        wait_until(lambda: not self.told(host, tenant), f"nothing of {tenant.name} on {host.name}")
        return time.monotonic() - started

    def test_what_is_withdrawn_is_gone_in_a_second(self):
        """The addresses, the bridge's entry and the VXLAN device's, of each host."""
        for host in (self.host, self.third.host):
            self.assertEqual(len(self.told(host, self.there)), 4, self.told(host, self.there))
        self.there.remove()
        wait_until(lambda: not self.mapping(self.host, self.there), "withdrawal")
        for host in (self.host, self.third.host):
            self.assertLess(self.wait_nothing_told(host, self.there), WITHDRAWN_S)
        self.assertEqual(self.arping(self.here, self.there.ip4, "-D"), [])
        self.assertEqual(self.ndisc(self.here, self.there.ip6), [])

    @contextlib.contextmanager
    def cut_off(self, host):
        """No session between HOST and the NVA for the time of the block; the NVA goes on with the others."""
        host.run(["nft", "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; "
                  f"add rule inet cut out tcp dport {NVA_PORT} reject with tcp reset; "
                  "add chain inet cut in { type filter hook input priority 0; }; "
                  f"add rule inet cut in tcp sport {NVA_PORT} reject with tcp reset"])
        wait_until(lambda: not self.status(host)["nva"]["connected"], "end of the session", 30)
        try:
            yield
        finally:
            host.run(["nft", "delete table inet cut"])

    def status(self, host):
        return json.loads(self.lab.system.ctl(host, "--json", "status").stdout)

    def test_what_is_withdrawn_while_cut_off_is_gone_after(self):
        """
        A host without a session keeps what it has, and says that nobody confirms it; others forget meanwhile. When it is
        back, what was withdrawn goes, and the rest is confirmed.
        """
        self.assertTrue(self.mapping(self.host, self.there)["confirmed"])
        with self.cut_off(self.host):
            before = self.told(self.host, self.there)
            self.there.remove()
            self.wait_nothing_told(self.third.host, self.there)
            self.assertEqual(self.told(self.host, self.there), before)
            self.assertEqual(len(before), 4)
            for tenant in (self.there, self.third):
                self.assertFalse(self.mapping(self.host, tenant)["confirmed"])
            self.assertEqual(self.resolve(self.here, self.there.ip4), [self.there.mac])
        wait_until(lambda: self.status(self.host)["vnis"][0]["current"], "snapshot of the new session", 30)
        self.assertLess(self.wait_nothing_told(self.host, self.there), WITHDRAWN_S)
        self.assertTrue(self.mapping(self.host, self.third)["confirmed"])
        self.assertEqual(len(self.told(self.host, self.third)), 4)

    def test_an_address_that_changes_hands_is_told(self):
        """No guest here has to time out: the NVE tells them what the other's GARP would have told."""
        for key in ("arp_accept", "arp_notify"):
            self.here.run(["sysctl", "-qw", f"net.ipv4.conf.eth0.{key}=0"])
        self.assertTrue(self.here.ping(self.there.ip4) and self.here.ping(self.there.ip6))
        for address, length in ((self.there.ip4, 24), (self.there.ip6, 64)):
            self.there.run(["ip", "address", "del", f"{address}/{length}", "dev", "eth0"])
            self.third.run(["ip", "address", "add", f"{address}/{length}", "dev", "eth0", "nodad"])
        # The directory's owner goes with its addresses; the new one speaks for itself.
        self.there.remove()
        self.wait_neighbours(self.host, {self.there.ip4: None, self.there.ip6: None})
        speak(self.third, self.there.ip4, self.there.ip6)
        now = {self.there.ip4: self.third.mac, self.there.ip6: self.third.mac}
        self.wait_neighbours(self.host, now)
        for address, mac in now.items():
            self.assertEqual(self.resolve(self.here, address), [mac])

    def test_entries_stay_while_there_is_no_nva(self):
        """All of them, marked; and what went meanwhile goes when the NVA, which remembers, is back."""
        before = self.told(self.host, self.there)
        self.lab["nva"].daemons["nva"].kill()
        self.host.daemons["nveagent"].wait_output("No session to the NVA")
        self.assertEqual(self.resolve(self.here, self.there.ip4), [self.there.mac])
        self.there.remove()
        wait_until(lambda: not self.status(self.there.host)["vnis"][0]["ports"], "end of the port")
        self.assertEqual(self.told(self.host, self.there), before)
        self.assertFalse(self.mapping(self.host, self.there)["confirmed"])
        self.lab.system.start_nva(self.lab)
        wait_until(lambda: not self.mapping(self.host, self.there), "withdrawal", 30)
        self.assertLess(self.wait_nothing_told(self.host, self.there), WITHDRAWN_S)
        self.assertTrue(self.mapping(self.host, self.third)["confirmed"])

    def test_an_agent_that_starts_anew_takes_its_entries_over(self):
        known = {self.there.ip4: self.there.mac, self.there.ip6: self.there.mac}
        self.host.daemons["nveagent"].kill()
        self.assertEqual(self.resolve(self.here, self.there.ip6), [self.there.mac])  # the kernel goes on
        self.host.run(["ip", "neigh", "replace", IP4, "lladdr", STRANGER, "dev", "br100", "nud", "permanent",
                       "extern_learn"])
        self.host.run(["ip", "neigh", "replace", "198.51.100.78", "lladdr", STRANGER, "dev", "br100", "nud", "permanent"])
        self.lab.system.start_agent(self.lab, self.host).wait_output("ready")
        self.wait_neighbours(self.host, {**known, IP4: None})
        self.assertIn("198.51.100.78", self.host.run(["ip", "neigh", "show", "dev", "br100"]).stdout)

    def test_a_bridge_that_changes_its_address_keeps_them(self):
        known = {self.there.ip4: self.there.mac, self.there.ip6: self.there.mac}
        self.host.run(["ip", "link", "set", "br100", "address", "02:00:00:00:00:99"])
        self.wait_neighbours(self.host, known)


class WithFakeNva(Case):
    """One NVE, and an NVA that says what it is told to."""

    def setUp(self):
        system = Rehome(BUILD, agent={"libvirt-uri": "none"})
        self.lab = self.enterContext(Lab(None, self.underlay, build=BUILD, libvirtd=False, tenants=False, say=say))
        self.lab.system, self.host = system, self.lab["hv1"]
        nva = self.lab["nva"]
        self.nva = nva.popen([FAKE_NVA, uri_host(nva.vtep).strip("[]"), str(NVA_PORT)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_nva)
        self.said, self.heard = queue.Queue(), []
        threading.Thread(target=self.listen, daemon=True).start()
        self.expect(r"listens")
        system.start_agent(self.lab, self.host).wait_output("ready")
        self.expect(r"ack 1$")
        self.tenant = self.lab.tenant("hv1", "ts-hv1", mac="52:54:00:aa:00:15", ip4="198.51.100.21", ip6="2001:db8:100::21")
        self.expect(r"register")
        self.elsewhere = self.lab["hv2"].vtep

    def listen(self):
        for line in self.nva.stdout:
            self.said.put(line.rstrip("\n").split(" ", 1)[1])

    def end_nva(self):
        self.nva.kill()
        self.nva.wait()
        self.nva.stdin.close()
        self.nva.stdout.close()

    def tell(self, line):
        self.nva.stdin.write(line + "\n")
        self.nva.stdin.flush()

    def expect(self, pattern, seconds=10):
        """The next message that matches."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.said.get(timeout=max(0.001, deadline - time.monotonic()))
            self.heard.append(line)
            match = re.match(pattern, line)
            if match:
                return match

    def ask(self, address):
        """Starts one question of the tenant's for ADDRESS; ends with what it was answered, as resolve() does."""
        result = queue.Queue()

        def run():
            result.put(self.ndisc(self.tenant, address, ANSWER_S) if ":" in address else
                       self.arping(self.tenant, address, f"-w{ANSWER_S}", f"-i{ANSWER_S}"))
        threading.Thread(target=run, daemon=True).start()
        return result

    def answer_with(self, query, address):
        self.tell(f"answer {query} 100 {STRANGER} {self.elsewhere} 1 {address}")

    def test_an_unknown_target_is_asked_for_once_and_answered_at_once(self):
        for address in (IP4, IP6):
            result = self.ask(address)
            query = self.expect(rf"query (\d+) 100 {address}$").group(1)
            self.answer_with(query, address)
            self.assertEqual(result.get(timeout=2 * ANSWER_S), [STRANGER])
            self.wait_neighbours(self.host, {address: STRANGER})
            self.assertEqual(self.resolve(self.tenant, address), [STRANGER])
            self.tell(f"unmap 100 {STRANGER} 1")
            self.assertLess(self.wait_neighbours(self.host, {address: None}), WITHDRAWN_S)
        self.assertEqual(self.counters(self.host)["asked"], 2)

    def test_a_no_is_not_asked_again_at_once(self):
        self.ask(IP4)
        query = self.expect(rf"query (\d+) 100 {IP4}").group(1)
        began = time.monotonic()
        self.tell(f"answer {query} none")
        wait_until(lambda: self.counters(self.host)["unknown"] == 1, "no")
        question = arp(0x0806, 1, (mac_bytes(self.tenant.mac), socket.inet_aton(self.tenant.ip4)),
                       (b"\0" * 6, socket.inet_aton(IP4)))
        with self.tenant.namespace(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            for _ in range(3):
                wire.send(question)
        self.ask(IP6)
        self.expect(rf"query \d+ 100 {IP6}$")  # the agent has heard the others by then
        seconds = time.monotonic() - began
        self.assertLessEqual(self.counters(self.host)["asked"], 2 + int(seconds))  # a no holds for one: QUERY_NO_US

    def test_an_unknown_mac_is_asked_for(self):
        self.tenant.run(["ip", "neigh", "replace", IP4, "lladdr", STRANGER, "dev", "eth0", "nud", "permanent"])
        self.tenant.ping(IP4, timeout=0.2)
        query = self.expect(rf"query (\d+) 100 {STRANGER}$").group(1)
        self.tell(f"answer {query} 100 {STRANGER} {self.elsewhere} 1")
        wait_until(lambda: STRANGER in self.host.run(["bridge", "fdb", "show", "dev", "vx100"]).stdout, "FDB entry")
        with Capture(self.host) as capture:
            self.tenant.ping(IP4, timeout=0.2)
        name = "ip.dst" if self.underlay == 4 else "ipv6.dst"
        self.assertGreater(capture.count(f"vxlan && {name} == {self.elsewhere}"), 0)

    def test_a_probe_waits_for_the_directory(self):
        probe = queue.Queue()
        threading.Thread(target=lambda: probe.put(self.arping(self.tenant, IP4, "-D")), daemon=True).start()
        self.answer_with(self.expect(rf"query (\d+) 100 {IP4}$").group(1), IP4)
        self.assertEqual(probe.get(timeout=5), [STRANGER])

    def test_a_router_is_answered_for_as_one(self):
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 {IP6}")
        self.wait_neighbours(self.host, {IP6: STRANGER})
        self.assertNotIn(IP6, self.neighbours(self.host, "router"))
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 router {IP6}")
        wait_until(lambda: IP6 in self.neighbours(self.host, "router"), "mark of a router")
        self.tenant.ping(IP6, timeout=0.1)
        wait_until(lambda: "router" in self.tenant.run(["ip", "neigh", "show", IP6]).stdout, "mark in the guest")

    def test_two_who_have_an_address_are_not_answered_for(self):
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 {IP4} {IP6}")
        self.wait_neighbours(self.host, {IP4: STRANGER, IP6: STRANGER})
        self.tell(f"map 100 52:54:00:aa:00:78 {self.elsewhere} 1 {IP4}")
        self.wait_neighbours(self.host, {IP4: None, IP6: STRANGER})

    def test_a_guest_hears_that_an_address_has_another_mac(self):
        other = "52:54:00:aa:00:78"
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 {IP4} {IP6}")
        self.wait_neighbours(self.host, {IP4: STRANGER, IP6: STRANGER})
        for address in (IP4, IP6):
            self.tenant.ping(address, timeout=0.1)
        wait_until(lambda: self.tenant_knows(IP4) == self.tenant_knows(IP6) == STRANGER, "the guest's entries")
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1")
        self.tell(f"map 100 {other} {self.elsewhere} 1 {IP4} {IP6}")
        wait_until(lambda: self.tenant_knows(IP4) == self.tenant_knows(IP6) == other, "the guest's new entries")

    def fdb(self, mac, words):
        """The lines that `bridge fdb show` has of MAC with WORDS."""
        shown = self.host.run(["bridge", "fdb", "show", "br", "br100"]).stdout
        return [line for line in shown.splitlines() if line.startswith(mac) and words in line]

    def test_what_an_operator_made_static_is_left_alone(self):
        """Before an update of the directory and after it, across a restart of the agent; once it is gone, ours goes in."""
        operators, port = self.lab["peer"].vtep, self.tenant.port
        made = "fdb add {mac} dev vx100 dst {vtep} self permanent\nfdb add {mac} dev {port} master static\n"
        self.host.daemons["nveagent"].kill()
        self.host.bridge(made.format(mac=STRANGER, vtep=operators, port=port))
        self.lab.system.start_agent(self.lab, self.host).wait_output("ready")
        self.expect(r"subscribe 100")
        self.host.bridge(made.format(mac=OTHER, vtep=operators, port=port))
        for generation, vtep in ((1, self.elsewhere), (2, self.lab["nva"].vtep)):
            for mac, address in ((STRANGER, IP4), (OTHER, IP6)):
                self.tell(f"map 100 {mac} {vtep} {generation} {address}")
                revision = self.expect(r"sent (\d+)$").group(1)
                self.expect(f"ack {revision}$")
                self.wait_neighbours(self.host, {address: mac})
        for mac in (STRANGER, OTHER):
            self.assertTrue(self.fdb(mac, f"dst {operators} "), mac)
            self.assertTrue(self.fdb(mac, f"dev {port} "), mac)
            self.assertEqual(self.fdb(mac, "extern_learn"), [])
        for mac in (STRANGER, OTHER):
            self.host.bridge(f"fdb del {mac} dev vx100 dst {operators} self\nfdb del {mac} dev {port} master\n")
            wait_until(lambda m=mac: len(self.fdb(m, "extern_learn")) == 2, f"our entries of {mac}")

    def vn(self):
        return json.loads(self.lab.system.ctl(self.host, "--json", "status").stdout)["vnis"][0]

    def test_an_nva_without_room_is_asked_again(self):
        """It refuses to have this NVE in the VNI: said, with its reason; nothing known is given up; and not for good."""
        self.tell(f"members 100 {self.elsewhere}")
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 {IP4} {IP6}")
        self.wait_neighbours(self.host, {IP4: STRANGER, IP6: STRANGER})
        flooded = self.fdb("00:00:00:00:00:00", f"dst {self.elsewhere} ")
        self.assertTrue(flooded)
        self.tell("refuse 100 full-up")
        wait_until(lambda: self.vn().get("refused") == "full-up", "refusal in the status")
        self.expect(r"subscribe 100$", 20)
        self.assertEqual(self.fdb("00:00:00:00:00:00", f"dst {self.elsewhere} "), flooded)
        self.assertEqual(self.resolve(self.tenant, IP4), [STRANGER])
        self.assertIn("does not have this NVE in it: full-up", self.host.daemons["nveagent"].output())
        self.tell(f"members 100 {self.elsewhere}")
        wait_until(lambda: "refused" not in self.vn(), "end of the refusal")

    def test_what_libvirt_has_not_told_yet_is_not_given_away(self):
        """
        An agent that has just started is asked for a VM: it says neither yes nor no until libvirt has told which ones
        run here. One that was called off meanwhile is not answered any more.
        """
        self.host.daemons["nveagent"].kill()
        self.lab.system = Rehome(BUILD)  # with libvirt, which is not there yet
        self.lab.system.start_agent(self.lab, self.host).wait_output("ready")
        self.expect(r"subscribe 100")
        self.tell(f"consent 100 {STRANGER} {self.elsewhere}")
        self.tell(f"consent 100 {OTHER} {self.elsewhere}")
        self.tell(f"abort 100 {OTHER}")
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1")
        revision = self.expect(r"sent (\d+)$").group(1)
        before = len(self.heard)
        self.expect(f"ack {revision}$")  # said after any answer
        self.assertEqual([line for line in self.heard[before:] if line.startswith("consented")], [])
        self.lab.start_libvirtd()
        self.expect(f"consented {STRANGER}$", 30)
        self.tell(f"consent 100 {IDLE} {self.elsewhere}")
        self.expect(f"consented {IDLE}$")
        self.assertEqual([line for line in self.heard if line == f"consented {OTHER}"], [])

    def test_lost_notifications_are_made_up_for(self):
        """
        While the agent does not read, more happens than the kernel keeps for it: entries of ours go, a tenant comes,
        another goes. Then it finds all of that out.
        """
        self.tell(f"map 100 {STRANGER} {self.elsewhere} 1 {IP4} {IP6}")
        self.wait_neighbours(self.host, {IP4: STRANGER, IP6: STRANGER})
        agent = self.host.daemons["nveagent"]
        agent.signal(signal.SIGSTOP)
        self.host.ip("link add name other0 up type bridge\nlink add name o0 up type veth peer name o1\n"
                     "link set dev o1 up\nlink set dev o0 master other0\n")
        for verb in ("add", "del"):
            self.host.bridge("".join(f"fdb {verb} 02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x} dev o0 master "
                                     f"{'dynamic' if verb == 'add' else ''}\n" for n in range(LOST)))
        self.host.bridge(f"fdb del {STRANGER} dev vx100 master\nfdb del {STRANGER} dev vx100 dst {self.elsewhere} self\n")
        self.host.ip(f"neigh del {IP4} dev br100\nneigh del {IP6} dev br100\n")
        gone, self.tenant = self.tenant, None
        gone.remove()
        new = self.lab.tenant("hv1", "ts-new", mac="52:54:00:aa:00:16", ip4="198.51.100.22", ip6="2001:db8:100::22")
        speak(new, new.ip4)
        agent.signal(signal.SIGCONT)
        agent.wait_output("came faster than they were read", SLOW_S)
        self.wait_neighbours(self.host, {IP4: STRANGER, IP6: STRANGER}, SLOW_S)
        self.assertEqual(len(self.fdb(STRANGER, "extern_learn")), 2)
        news = r"(?i)(?:register|withdraw) 52:54:00:aa:00:1[56]"
        told = {self.expect(news, SLOW_S).group(0).lower()}
        while len(told) < 2:
            told.add(self.expect(news, SLOW_S).group(0).lower())
        self.assertEqual(told, {"withdraw 52:54:00:aa:00:15", "register 52:54:00:aa:00:16"})

    def tenant_knows(self, address):
        shown = self.tenant.run(["ip", "-j", "neigh", "show", address]).stdout
        return next((entry.get("lladdr") for entry in json.loads(shown or "[]")), None)


def for_both_underlays(loader, case):
    suite = unittest.TestSuite()
    for underlay in (4, 6):
        suite.addTests(loader.loadTestsFromTestCase(type(f"{case.__name__}{underlay}", (case,), {"underlay": underlay})))
    return suite


def load_tests(loader, tests, pattern):
    return unittest.TestSuite(for_both_underlays(loader, case) for case in (WithNva, WithFakeNva))


def main():
    global BUILD, FAKE_NVA
    if len(sys.argv) < 6:
        sys.exit(__doc__.strip().splitlines()[-2])
    BUILD, FAKE_NVA = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    if os.geteuid() != 0:
        print("SKIP: needs root")
        sys.exit(SKIP)
    unittest.main(argv=[sys.argv[0], *sys.argv[6:]], verbosity=2)


if __name__ == "__main__":
    main()
