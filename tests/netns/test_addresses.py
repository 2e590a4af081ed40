#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What tenants say in ARP and ND becomes what the directory has of them: real agents and a real NVA, tenants that are
namespaces with stock tools.

usage: test_addresses.py NVEAGENT NVA NVECTL NEIGHBOUR-FLOOD [UNITTEST-ARGUMENT...]
"""

import contextlib
import json
import pathlib
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from tenants import (DEADLINE_S, Case, IP4, IP6, MACS, ZERO4, announcement4, arp, icmpv6, inside, mac_bytes, main, na,  # noqa: E402
                     run, wait_until)


class Watching(Case):
    def test_stock_tools(self):
        """Each way to speak of an address, by tools that others wrote; and the ways that claim nothing."""
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                world = self.world(underlay)
                world.plug("hv1", "t1")
                world.plug("hv1", "t2")
                for netns in ("t1", "t2"):
                    world.give(netns, IP4[netns], IP6[netns])
                # A probe claims nothing (sender 0.0.0.0): the address that is announced after it is the only one.
                inside("t1", "arping", "-D", "-c", 2, "-w", 2, "-I", "eth0", "198.51.100.77", check=False)
                inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t1"], check=False)
                world.knows("t1", IP4["t1"])
                inside("t1", "ndisc6", "-1", "-r", 1, "-w", 100, "-s", IP6["t1"], IP6["t2"], "eth0", check=False)
                lladdr = "fe80::ff:fe00:1"
                # The answer of t2 counts as well.
                world.knows("t1", IP4["t1"], IP6["t1"])
                world.knows("t2", IP6["t2"])
                inside("t2", "arping", "-A", "-c", 1, "-I", "eth0", IP4["t2"], check=False)
                world.knows("t2", IP6["t2"], IP4["t2"])
                inside("t1", "ping", "-c", 1, "-W", 5, f"{'fe80::ff:fe00:2'}%eth0")
                world.knows("t1", IP4["t1"], IP6["t1"], lladdr)
                world.knows("t2", IP4["t2"], IP6["t2"], "fe80::ff:fe00:2")

    def test_guest_that_configures_itself(self):
        """IPv6 with DAD, link-local and temporary addresses (RFC 8981), IPv4 link-local (RFC 3927)."""
        world = self.world()
        world.plug("hv1", "t1", quiet=False)
        world.plug("hv1", "t2")
        inside("t1", "sysctl", "-qw", "net.ipv6.conf.eth0.use_tempaddr=2", "net.ipv6.conf.eth0.accept_ra=2",
               "net.ipv6.conf.eth0.ndisc_notify=1")
        router, mac = self.wire("t2"), mac_bytes(MACS["t2"])
        prefix = socket.inet_pton(socket.AF_INET6, "2001:db8:100::")
        router.send(icmpv6(mac, "fe80::ff:fe00:2", "ff02::1",
                           bytes((134, 0, 0, 0, 64, 0)) + struct.pack(">HII", 1800, 0, 0) + b"\x01\x01" + mac +
                           bytes((3, 4, 64, 0xc0)) + struct.pack(">III", 86400, 14400, 0) + prefix))

        def addresses():
            rows = json.loads(run("ip", "-n", "t1", "-j", "addr", "show", "dev", "eth0").stdout)[0]["addr_info"]
            usable = [row["local"] for row in rows if not row.get("tentative")]
            return usable if len(usable) == 3 else None
        mine = wait_until(addresses, "link-local, stable and temporary address")
        run("ip", "-n", "t1", "addr", "add", "169.254.7.7/16", "dev", "eth0")
        inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", "169.254.7.7", check=False)
        world.knows("t1", "169.254.7.7", *mine)
        self.assertNotIn("router", world.mapping("hv2", "t1")["flags"])
        self.assertIn("router", world.mapping("hv2", "t2")["flags"])

    def test_router_flag_follows(self):
        """The newest NA says whether it is a router (RFC 4861 section 7.2.5)."""
        world = self.world()
        world.plug("hv1", "t1")
        wire, mac = self.wire("t1"), mac_bytes(MACS["t1"])
        for flags, router in ((0x20, False), (0xa0, True), (0x20, False)):
            wire.send(na(mac, IP6["t1"], flags))
            wait_until(lambda: world.mapping("hv2", "t1") and
                       ("router" in world.mapping("hv2", "t1")["flags"]) == router, f"router {router}")
        world.knows("t1", IP6["t1"])

    def test_probes_claim_nothing(self):
        """RFC 5227 section 1.1 and RFC 4862 section 5.4.2, by hand; then the announcement, which does."""
        world = self.world()
        world.plug("hv1", "t1")
        wire, mac = self.wire("t1"), mac_bytes(MACS["t1"])
        ip4, ip6 = socket.inet_aton(IP4["t1"]), IP6["t1"]
        for _ in range(3):
            wire.send(arp(0x0806, 1, (mac, ZERO4), (b"\0" * 6, ip4)))
            wire.send(icmpv6(mac, "::", f"ff02::1:ff00:{ip6[-2:]}",
                             bytes((135, 0, 0, 0, 0, 0, 0, 0)) + socket.inet_pton(socket.AF_INET6, ip6)))
        wire.send(na(mac, "fe80::1"))  # the same device keeps the order: this one comes after
        world.knows("t1", "fe80::1")
        wire.send(announcement4(mac, IP4["t1"]))
        wire.send(na(mac, ip6))
        world.knows("t1", "fe80::1", IP4["t1"], ip6)

    def test_limits(self):
        """So many addresses and no more; it is said once, counted, and those that are there stay."""
        world = self.world(**{"port-addresses": 4})
        world.plug("hv1", "t1")
        wire, mac = self.wire("t1"), mac_bytes(MACS["t1"])
        kept = [IP4["t1"], IP6["t1"], "fe80::1", "198.51.100.99"]
        for address in kept:
            if ":" in address:
                wire.send(na(mac, address))
            else:
                wire.send(announcement4(mac, address))
        world.knows("t1", *kept)
        for n in range(100):
            wire.send(na(mac, f"2001:db8:100::dead:{n:x}"))
        wait_until(lambda: world.port("hv1", "t1")["addresses_refused"] == 100, "100 refused claims")
        world.knows("t1", *kept)
        self.assertEqual(world.log("hv1").count("is not registered"), 1)


class Ageing(Case):
    def test_silent_addresses(self):
        """Whoever answers stays, however silent; what nobody has any more goes. No guest notices the questions."""
        world = self.world(**{"neighbour-age": 2})
        for name in ("t1", "t2"):
            world.plug("hv1", name)
            world.give(name, IP4[name], IP6[name])
        inside("t1", "ping", "-c", 1, IP4["t2"])
        inside("t1", "ping", "-c", 1, IP6["t2"])
        run("ip", "-n", "t1", "neigh", "flush", "all")
        inside("t1", "ping", "-c", 1, IP6["t2"])
        for name in ("t1", "t2"):
            wait_until(lambda n=name: world.mapping("hv2", n) and
                       {IP4[n], IP6[n]} <= set(world.mapping("hv2", n)["ips"]), f"addresses of {name}")
        world.take("t2", IP4["t2"])
        world.take("t2", IP6["t2"])
        watch = self.wire("t1")
        wait_until(lambda: world.mapping("hv2", "t2") and
                   not {IP4["t2"], IP6["t2"]} & set(world.mapping("hv2", "t2")["ips"]), "withdrawal")
        self.assertIn(f"{IP4['t2']} does not answer any more", world.log("hv1"))
        self.assertLessEqual({IP4["t1"], IP6["t1"]}, set(world.mapping("hv2", "t1")["ips"]))
        # t1 was asked too: it kept its addresses, has no entry for whoever asked by ARP, and has seen no conflict.
        asked = [frame for frame in iter(watch.hear, None) if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1"]
        self.assertGreater(len(asked), 0)
        for frame in asked:
            self.assertEqual((frame[:6], frame[28:32], frame[38:42]),
                             (mac_bytes(MACS["t1"]), ZERO4, socket.inet_aton(IP4["t1"])))
        self.assertNotIn("0.0.0.0", run("ip", "-n", "t1", "neigh").stdout)
        for family in ("-4", "-6"):
            self.assertNotIn("dadfailed", run("ip", "-n", "t1", family, "addr").stdout)

    def test_detach(self):
        """When an endpoint leaves, those that remain are asked at once, long before their age (R4)."""
        world = self.world()
        wires = {}
        for name in ("t1", "t2"):
            world.plug("hv1", name)
            world.give(name, IP4[name], IP6[name])
            wires[name] = self.wire(name)
            self.announce(name, IP4[name])
            wires[name].send(na(mac_bytes(MACS[name]), IP6[name]))
            world.knows(name, IP4[name], IP6[name])
        world.take("t1", IP6["t1"])

        def leave_and_look():
            def announced():
                self.announce("t3", IP4["t3"])
                return world.mapping("hv2", "t3")
            world.plug("hv1", "t3")
            wait_until(announced, "t3 in the directory")
            run("ip", "netns", "del", "t3")
            wait_until(lambda: not world.mapping("hv2", "t3"), "t3 withdrawn")
            return IP6["t1"] not in world.mapping("hv2", "t1")["ips"]
        wait_until(leave_and_look, "withdrawal of what t1 lost")  # not asked when heard within 10 s
        world.knows("t1", IP4["t1"])
        world.knows("t2", IP4["t2"], IP6["t2"])

    def test_address_that_changes_hands(self):
        """Another endpoint takes an address over (VRRP): who had it loses it in seconds, on this host and on the other."""
        world = self.world()
        wires = {}
        for host, name in (("hv1", "t1"), ("hv1", "t2"), ("hv2", "t3")):
            world.plug(host, name)
            wires[name] = self.wire(name)
        ip4, ip6 = "198.51.100.200", "2001:db8:100::200"
        before = None
        for host, name in (("hv1", "t1"), ("hv1", "t2"), ("hv2", "t3"), ("hv1", "t1")):
            if before:
                world.take(before, ip4)
                world.take(before, ip6)
            world.give(name, ip4, ip6)
            self.announce(name, ip4)
            wires[name].send(na(mac_bytes(MACS[name]), ip6))
            world.knows(name, ip4, ip6, vtep=host, at="hv2")
            if before:
                wait_until(lambda n=before: not {ip4, ip6} & set((world.mapping("hv1", n) or {"ips": []})["ips"]),
                           f"{before} loses what {name} has")
            before = name

    def test_agent_restart(self):
        """Tenants that say nothing keep their addresses when the agent starts again, and lose those they gave up."""
        world = self.world()
        world.plug("hv1", "t1")
        world.give("t1", IP4["t1"], IP6["t1"])
        wire = self.wire("t1")
        self.announce("t1", IP4["t1"])
        wire.send(na(mac_bytes(MACS["t1"]), IP6["t1"]))
        world.knows("t1", IP4["t1"], IP6["t1"])
        world.stop("hv1")
        world.take("t1", IP6["t1"])
        world.start_agent("hv1")
        world.knows("t1", IP4["t1"])
        self.assertNotIn(IP6["t1"], world.port("hv1", "t1")["ips"])


class Flood(Case):
    @contextlib.contextmanager
    def flooding(self, world, netns, *more):
        """100,000 frames a second from the tenant, for the time of the block; what it says in the end is .told."""
        flood = subprocess.Popen(["ip", "netns", "exec", netns, self.programs[3], *more, "eth0", MACS[netns], "100000", "0",
                                  str(world.processes["hv1"].pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        flood.told = None
        try:
            yield flood
            self.assertIsNone(flood.poll(), "the flood ended too early")
        finally:
            said, _ = flood.communicate(timeout=DEADLINE_S)
        flood.told = json.loads(said)
        print(more, flood.told, flush=True)

    def neighbour(self, host, address):
        """The MAC of ADDRESS in the kernel of HOST."""
        told = json.loads(run("ip", "-n", host, "-j", "neigh", "show", address, "dev", "br100").stdout or "[]")
        return told[0].get("lladdr") if told else None

    def check_changes(self, world, wires):
        """What other endpoints change on both hosts is known to the other host, and to its kernel."""
        for n in range(100, 103):
            for other, name in (("hv2", "t2"), ("hv1", "t3")):
                ip4, ip6, mac = f"198.51.100.{n}", f"2001:db8:100::{n}", mac_bytes(MACS[name])
                wires[name].send(announcement4(mac, ip4))
                wires[name].send(na(mac, ip6))
                for address in (ip4, ip6):
                    wait_until(lambda a=address, o=other, m=MACS[name]: self.neighbour(o, a) == m, f"{address} at {other}")
            world.plug("hv2", "t4")
            wire = self.wire("t4")
            wire.send(announcement4(mac_bytes(MACS["t4"]), IP4["t4"]))
            wait_until(lambda: self.neighbour("hv1", IP4["t4"]) == MACS["t4"], "t4 at hv1")
            wire.close()  # else its socket keeps the namespace
            run("ip", "netns", "del", "t4")
            wait_until(lambda: self.neighbour("hv1", IP4["t4"]) is None, "end of t4 at hv1")

    def test_does_not_reach_the_nva(self):
        """100,000 claims a second: a handful of registrations, and the agent answers meanwhile."""
        world = self.world(**{"port-addresses": 4})
        world.plug("hv1", "t1")
        world.plug("hv1", "t2")
        world.give("t2", IP4["t2"])
        flood = json.loads(inside("t1", self.programs[3], "eth0", MACS["t1"], 100000, 2, world.processes["hv1"].pid).stdout)
        print(flood, flush=True)
        self.announce("t2", IP4["t2"])
        world.knows("t2", IP4["t2"])
        counters = world.ask("hv1", "nva", "status")["nva"]["counters"]
        self.assertLess(counters["registered"], 40)
        port = world.port("hv1", "t1")
        self.assertGreater(port["frames_dropped"], flood["sent"] / 2)
        self.assertGreater(port["addresses_refused"], 100)
        self.assertEqual(len(port["ips"]), 4)
        self.assertEqual(world.port("hv1", "t2")["frames_dropped"], 0)
        self.assertEqual(world.log("hv1").count("comes faster than"), 1)
        self.assertEqual(world.log("hv1").count("is not registered"), 1)


    def test_neither_starves_nor_is_passed_on(self):
        """
        While a guest claims, or asks, 100,000 times a second, what others change on both hosts reaches the other host's
        kernel; the NVA hears next to nothing of the guest, and its port alone bears the count.
        """
        for underlay, more in ((4, ()), (4, ("--questions",)), (6, ()), (6, ("--questions",))):
            with self.subTest(underlay=underlay, more=more):
                self.check_flood(self.world(underlay), more)

    def check_flood(self, world, more):
        for host, name in (("hv1", "t1"), ("hv1", "t2"), ("hv2", "t3")):
            world.plug(host, name)
        wires = {name: self.wire(name) for name in ("t2", "t3")}
        for name, wire in wires.items():  # a MAC is watched from its first frame on
            wire.send(announcement4(mac_bytes(MACS[name]), IP4[name]))
            world.knows(name, IP4[name], vtep="hv1" if name == "t2" else "hv2", at="hv1")
        before, began = world.ask("hv1", "nva", "status")["nva"]["counters"]["registered"], time.monotonic()
        with self.flooding(world, "t1", *more) as flood:
            self.check_changes(world, wires)
            seconds = time.monotonic() - began
        self.assertGreater(flood.told["sent"], 10000)
        # Of registrations: those of check_changes(), and at most 16 at once and 4 a second of the guest's.
        registered = world.ask("hv1", "nva", "status")["nva"]["counters"]["registered"] - before
        self.assertLess(registered, 40 + 16 + 4 * (time.monotonic() - began))
        asked = world.status("hv1")["vnis"][0]["suppression"]["asked"]
        self.assertLess(asked, 20 + 50 * (seconds + DEADLINE_S))
        self.assertLess(asked, flood.told["sent"] / 10)
        self.assertGreater(world.port("hv1", "t1")["frames_dropped"], flood.told["sent"] / 2)
        self.assertEqual([world.port("hv1", "t2")["frames_dropped"], world.port("hv2", "t3")["frames_dropped"]], [0, 0])

    def test_many_macs(self):
        """A guest that sends from a new MAC each time: so many are registered and no more, and another is heard."""
        world = self.world(**{"port-macs": 20})
        world.plug("hv1", "t1")
        world.plug("hv1", "t2")
        world.give("t2", IP4["t2"])
        print(inside("t1", self.programs[3], "eth0", "any", 20000, 1, world.processes["hv1"].pid).stdout, flush=True)
        self.announce("t2", IP4["t2"])
        world.knows("t2", IP4["t2"])
        ports = [port for port in world.ask("hv1", "ports")["ports"] if port["device"] == "p-t1"]
        self.assertEqual(len(ports), 20)
        self.assertGreater(world.status("hv1")["counters"]["macs_refused"], 255)
        # The bridge itself was told to stop: its table does not hold what the guest made up.
        self.assertIn("learning off", inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t1").stdout)
        learned = inside("hv1", "bridge", "fdb", "show", "brport", "p-t1").stdout.count(" master br100")
        self.assertLess(learned, 10000)
        self.assertLess(world.ask("hv1", "nva", "status")["nva"]["counters"]["registered"], 100)
        self.assertEqual(world.log("hv1").count("port-macs"), 1)
        # An agent that is killed meanwhile cannot undo that; the next one does, and leaves no trace of it.
        world.processes["hv1"].kill()
        world.stop("hv1")
        self.assertIn("learning off", inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t1").stdout)
        inside("hv1", "ip", "link", "set", "br100", "type", "bridge", "fdb_flush")  # else it is as it was, soon
        world.start_agent("hv1")
        self.assertIn("learning on", inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t1").stdout)
        self.assertNotIn("altname", inside("hv1", "ip", "link", "show", "dev", "p-t1").stdout)
        world.stop("hv1")

    def test_learning_that_is_off(self):
        """An operator's port that does not learn is left so; ours is switched on when the agent ends in peace."""
        world = self.world(**{"port-macs": 20})
        world.plug("hv1", "t1")
        world.plug("hv1", "t2")
        inside("hv1", "bridge", "link", "set", "dev", "p-t2", "learning", "off")
        inside("t1", self.programs[3], "eth0", "any", 20000, 1, world.processes["hv1"].pid)
        wait_until(lambda: "learning off" in inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t1").stdout, "deaf port")
        world.stop("hv1")
        self.assertIn("learning on", inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t1").stdout)
        world.start_agent("hv1")
        self.assertIn("learning off", inside("hv1", "bridge", "-d", "link", "show", "dev", "p-t2").stdout)


if __name__ == "__main__":
    main(("arping", "ndisc6"), 4)
