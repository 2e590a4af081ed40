#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What tenants say in ARP, RARP and ND becomes what the directory has of them: real agents and a real NVA, tenants
that are namespaces with stock tools.

usage: test_addresses.py NVEAGENT NVA NVECTL NEIGHBOUR-FLOOD [UNITTEST-ARGUMENT...]

    hv1 --.                .-- hv2             each a namespace with an agent, br100 and vx100
          |- br-underlay --|
    far --'  (and the NVA) '                   far: a VTEP without an agent, in the flood list
    t1, t2, ... tenants: a veth to the br100 of a host
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

AGENT = NVA = NVECTL = FLOOD = ""
DEADLINE_S = 30
VNI = 100
MACS = {f"t{n}": f"02:00:00:00:00:0{n}" for n in range(1, 7)}
IP4 = {name: f"198.51.100.{10 + n}" for n, name in enumerate(MACS)}
IP6 = {name: f"2001:db8:100::{10 + n}" for n, name in enumerate(MACS)}
UNDERLAYS = {4: {"nva": "192.0.2.9", "hv1": "192.0.2.1", "hv2": "192.0.2.2", "far": "192.0.2.3"},
             6: {"nva": "2001:db8::9", "hv1": "2001:db8::1", "hv2": "2001:db8::2", "far": "2001:db8::3"}}
BROADCAST = b"\xff" * 6
ZERO4 = b"\0" * 4


def run(*words, check=True):
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=DEADLINE_S)
    if check and done.returncode:
        raise AssertionError(f"{done.args}: {done.stdout}{done.stderr}")
    return done


def inside(netns, *words, check=True):
    return run("ip", "netns", "exec", netns, *words, check=check)


def wait_until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {DEADLINE_S} s: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def entered(netns):
    """Sockets that are made in the block belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as back, open(f"/run/netns/{netns}", "rb") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(back.fileno(), 0)


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def arp(kind, operation, sender, target, to=BROADCAST):
    """An Ethernet frame; sender and target: (MAC, 4 bytes)."""
    return to + sender[0] + struct.pack(">HHHBBH", kind, 1, 0x0800, 6, 4, operation) + b"".join(sender + target)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def icmpv6(source_mac, source, to, message, to_mac=None):
    """An Ethernet frame of an ICMPv6 message whose checksum field is zero."""
    source, to = (socket.inet_pton(socket.AF_INET6, address) for address in (source, to))
    total = checksum(source + to + struct.pack(">II", len(message), 58) + message)
    return ((to_mac or b"\x33\x33" + to[12:]) + source_mac + b"\x86\xdd" +
            struct.pack(">IHBB", 6 << 28, len(message), 58, 255) + source + to +
            message[:2] + struct.pack(">H", total) + message[4:])


def na(mac, address, flags=0x20):
    return icmpv6(mac, address, "ff02::1", bytes((136, 0, 0, 0, flags, 0, 0, 0)) +
                  socket.inet_pton(socket.AF_INET6, address) + b"\x02\x01" + mac)


class Wire:
    """A tenant's raw socket: sends frames and hears what comes."""

    def __init__(self, netns, device="eth0"):
        with entered(netns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((device, 3))
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.socket.settimeout(0.05)

    def send(self, frame):
        self.socket.send(frame)

    def hear(self):
        """The next frame, or None when none waits."""
        try:
            return self.socket.recv(2048)
        except TimeoutError:
            return None

    def until(self, wanted, what):
        """The first frame for which wanted(frame) holds."""
        def look():
            frame = self.hear()
            return frame if frame and wanted(frame) else None
        return wait_until(look, what)

    def close(self):
        self.socket.close()


class World:
    """Two hosts, a VTEP without an agent, an NVA. The namespace of the test is the underlay's switch."""

    def __init__(self, directory, underlay, **keys):
        self.directory, self.family, self.address = directory, underlay, UNDERLAYS[underlay]
        self.keys = {"neighbour-age": 300, "port-addresses": 16, **keys}
        self.processes = {}

    def build(self):
        run("ip", "link", "add", "br-underlay", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "link", "set", "br-underlay", "up")
        self._give("br-underlay", "nva")
        for name in ("hv1", "hv2", "far"):
            self._add_host(name)
        inside("far", "ip", "link", "add", "vx100", "type", "vxlan", "id", VNI, "dstport", 4789, "local",
               self.address["far"])
        inside("far", "ip", "link", "set", "vx100", "up")
        self.start_nva()
        for host in ("hv1", "hv2"):
            self.start_agent(host)

    def _give(self, device, name, netns=None):
        command = ["ip", *(["-n", netns] if netns else []), "addr", "add"]
        run(*command, f"{self.address[name]}/{24 if self.family == 4 else 64}", "dev", device,
            *(["nodad"] if self.family == 6 else []))

    def _add_host(self, name):
        run("ip", "netns", "add", name)
        inside(name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        run("ip", "link", "add", f"u-{name}", "type", "veth", "peer", "name", "under0", "netns", name)
        run("ip", "link", "set", f"u-{name}", "master", "br-underlay", "up")
        for device in ("lo", "under0"):
            run("ip", "-n", name, "link", "set", device, "up")
        self._give("under0", name, name)

    def _start(self, name, words, ready):
        log = open(f"{self.directory}/{name}.log", "a", encoding="utf-8")
        begin = os.path.getsize(log.name)
        self.processes[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_until(lambda: ready in self.log(name)[begin:] or self.processes[name].poll() is not None, f"start of {name}")
        if self.processes[name].poll() is not None:
            raise AssertionError(self.log(name))

    def log(self, name):
        with open(f"{self.directory}/{name}.log", encoding="utf-8") as file:
            return file.read()

    def _write(self, name, text):
        path = f"{self.directory}/{name}.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def start_nva(self):
        path = self._write("nva", f"[nva]\nname = nva1\nlisten = {self.address['nva']}\ninsecure-plain = yes\n"
                                  f"socket = {self.directory}/nva.sock\n")
        self._start("nva", [NVA, "--config", path], "ready: ")

    def start_agent(self, host):
        nva = self.address["nva"] if self.family == 4 else f"[{self.address['nva']}]"
        keys = "".join(f"{key} = {value}\n" for key, value in self.keys.items())
        path = self._write(host, f"[agent]\nname = {host}\nvtep = {self.address[host]}\nnva = {nva}\n"
                                 f"insecure-plain = yes\nlibvirt-uri = none\nsocket = {self.directory}/{host}.sock\n{keys}"
                                 f"[vni {VNI}]\nrarp-server = 198.51.100.1\n")
        self._start(host, ["ip", "netns", "exec", host, AGENT, "--config", path], "ready: ")
        wait_until(lambda: self.status(host)["nva"]["connected"] and self.status(host)["vnis"][0]["synced"],
                   f"session of {host}")

    def stop(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(DEADLINE_S)

    def ask(self, host, *words):
        return json.loads(run(NVECTL, *words, "--json", "--socket", f"{self.directory}/{host}.sock").stdout)

    def status(self, host):
        return self.ask(host, "status")

    def port(self, host, name):
        """The port of a tenant at a host, or None."""
        found = [port for port in self.ask(host, "ports")["ports"] if port["mac"] == MACS[name]]
        return found[0] if found else None

    def mapping(self, host, name):
        """What a host has from the directory of a tenant, or None."""
        found = [entry for entry in self.ask(host, "mappings")["mappings"] if entry["mac"] == MACS[name]]
        return found[0] if found else None

    def knows(self, name, *addresses, vtep="hv1", at="hv2"):
        """
        Waits until host AT has exactly ADDRESSES for the tenant, from the directory, at VTEP; a link-local one, which
        the tenant's kernel may use at any time, counts only when it is among ADDRESSES.
        """
        def look():
            entry = self.mapping(at, name)
            known = {ip for ip in entry["ips"] if ip in addresses or not ip.startswith("fe80:")} if entry else None
            return known == set(addresses) and entry["vtep"] == self.address[vtep]
        try:
            wait_until(look, f"{name} with {addresses} at {vtep}")
        except AssertionError:
            raise AssertionError(f"{name} should have {addresses} at {vtep}, has {self.mapping(at, name)}; "
                                 f"{self.port(vtep, name)}") from None

    def plug(self, host, name, netns=None, quiet=True):
        """A tenant on the host's br100; QUIET: it says nothing by itself, as when IPv6 is off."""
        netns = netns or name
        run("ip", "netns", "add", netns)
        inside(netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1" if quiet else
               "net.ipv6.conf.default.accept_dad=1")
        run("ip", "-n", host, "link", "add", f"p-{netns}", "type", "veth", "peer", "name", "eth0", "netns", netns)
        run("ip", "-n", netns, "link", "set", "eth0", "address", MACS[name])
        run("ip", "-n", host, "link", "set", f"p-{netns}", "master", "br100", "up")
        run("ip", "-n", netns, "link", "set", "eth0", "up")
        wait_until(lambda: "LOWER_UP" in run("ip", "-n", netns, "link", "show", "eth0").stdout, "carrier")

    def give(self, netns, *addresses):
        for address in addresses:
            if ":" in address:
                inside(netns, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
            run("ip", "-n", netns, "addr", "add", f"{address}/{64 if ':' in address else 24}", "dev", "eth0",
                *(["nodad"] if ":" in address else []))

    def take(self, netns, address):
        run("ip", "-n", netns, "addr", "del", f"{address}/{64 if ':' in address else 24}", "dev", "eth0")

    def close(self):
        for name in list(self.processes):
            self.stop(name)
        for netns in run("ip", "netns", "list").stdout.split("\n"):
            if netns:
                run("ip", "netns", "del", netns.split()[0])
        for device in ("u-hv1", "u-hv2", "u-far", "br-underlay"):  # namespaces take a while to go
            run("ip", "link", "del", device, check=False)


class Case(unittest.TestCase):
    def world(self, underlay=4, **keys):
        directory = tempfile.mkdtemp(prefix="rehome-addresses-")
        self.addCleanup(shutil.rmtree, directory)
        world = World(directory, underlay, **keys)
        self.addCleanup(self.finish, world)
        world.build()
        return world

    def finish(self, world):
        for name in world.processes if not self._outcome.success else ():
            print(f"--- {name}\n{world.log(name)}", flush=True)
        world.close()

    def wire(self, netns, device="eth0"):
        wire = Wire(netns, device)
        self.addCleanup(wire.close)
        return wire


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
                world.close()

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
        wire.send(arp(0x0806, 1, (mac, ip4), (b"\0" * 6, ip4)))
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
                wire.send(arp(0x0806, 1, (mac, socket.inet_aton(address)), (b"\0" * 6, socket.inet_aton(address))))
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
            inside(name, "arping", "-U", "-c", 1, "-I", "eth0", IP4[name], check=False)
            wires[name].send(na(mac_bytes(MACS[name]), IP6[name]))
            world.knows(name, IP4[name], IP6[name])
        world.take("t1", IP6["t1"])

        def leave_and_look():
            world.plug("hv1", "t3")
            inside("t3", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t3"], check=False)
            wait_until(lambda: world.mapping("hv2", "t3"), "t3 in the directory")
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
            inside(name, "arping", "-U", "-c", 1, "-I", "eth0", ip4, check=False)
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
        inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t1"], check=False)
        wire.send(na(mac_bytes(MACS["t1"]), IP6["t1"]))
        world.knows("t1", IP4["t1"], IP6["t1"])
        world.stop("hv1")
        world.take("t1", IP6["t1"])
        world.start_agent("hv1")
        world.knows("t1", IP4["t1"])
        self.assertNotIn(IP6["t1"], world.port("hv1", "t1")["ips"])


class Arrival(Case):
    def rarp_request(self, name):
        mac = mac_bytes(MACS[name])
        return arp(0x8035, 3, (mac, ZERO4), (mac, ZERO4))

    def test_rarp(self):
        """A diskless client gets its own address, wherever it runs (RFC 903); one that nobody knows gets no answer."""
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                world = self.world(underlay)
                world.plug("hv1", "t1")
                world.give("t1", IP4["t1"])
                inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t1"], check=False)
                world.knows("t1", IP4["t1"])
                # It boots again, here.
                run("ip", "-n", "t1", "addr", "flush", "dev", "eth0")
                self.check_rarp(self.wire("t1"), "t1")
                # It boots again, on the other host.
                run("ip", "netns", "del", "t1")
                world.plug("hv2", "t2")
                self.wire("t2").send(self.rarp_request("t2"))
                self.assertEqual(world.status("hv2")["counters"]["rarp_answers"], 0)
                world.close()

    def check_rarp(self, wire, name):
        wire.send(self.rarp_request(name))
        reply = wire.until(lambda frame: frame[12:14] == b"\x80\x35", "RARP reply")
        mac = mac_bytes(MACS[name])
        self.assertEqual(reply[:6], mac)
        self.assertEqual(reply[20:22], b"\0\4")
        self.assertEqual(socket.inet_ntoa(reply[28:32]), "198.51.100.1")
        self.assertEqual((reply[32:38], socket.inet_ntoa(reply[38:42])), (mac, IP4[name]))

    def test_self_announcement(self):
        """
        An endpoint that moved by itself, as a VM without libvirt does, announces itself by RARP as QEMU does: its
        addresses come along, and are announced into the new host's bridge and to the VTEP without an agent.
        """
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                self.check_self_announcement(self.world(underlay))

    def check_self_announcement(self, world):
        # Somebody's own entry in the flood list, from before the agent.
        world.stop("hv2")
        inside("hv2", "bridge", "fdb", "flush", "dev", "vx100", check=False)
        for line in inside("hv2", "bridge", "fdb", "show", "dev", "vx100").stdout.splitlines():
            if line.startswith("00:00:00:00:00:00"):
                inside("hv2", "bridge", "fdb", "del", "00:00:00:00:00:00", "dev", "vx100", "dst", line.split()[2])
        inside("hv2", "bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx100", "dst", world.address["far"])
        world.start_agent("hv2")
        world.plug("hv1", "t1")
        world.plug("hv2", "t2")
        world.give("t1", IP4["t1"], IP6["t1"])
        inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t1"], check=False)
        self.wire("t1").send(na(mac_bytes(MACS["t1"]), IP6["t1"], 0xa0))
        world.knows("t1", IP4["t1"], IP6["t1"])

        neighbour, far = self.wire("t2"), self.wire("far", "vx100")
        world.plug("hv2", "t1", netns="t1b")
        self.wire("t1b").send(self.rarp_request("t1"))
        world.give("t1b", IP4["t1"], IP6["t1"])
        world.knows("t1", IP4["t1"], IP6["t1"], vtep="hv2", at="hv1")
        for wire in (neighbour, far):
            self.check_announced(wire)
        world.close()

    def check_announced(self, wire):
        mac, ip4 = mac_bytes(MACS["t1"]), socket.inet_aton(IP4["t1"])
        wanted = {arp(0x0806, 1, (mac, ip4), (b"\0" * 6, ip4)), arp(0x0806, 2, (mac, ip4), (mac, ip4)),
                  na(mac, IP6["t1"], 0xa0), self.rarp_request("t1")}

        def look():
            frame = wire.hear()
            wanted.discard(frame)
            if frame:
                wanted.discard(frame[:42])
            return not wanted
        wait_until(look, "all forms of the announcement")

    def test_rarp_on_another_host(self):
        """The directory knows the client from the host where it was; the new host answers."""
        world = self.world()
        world.plug("hv1", "t1")
        world.give("t1", IP4["t1"])
        inside("t1", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t1"], check=False)
        world.knows("t1", IP4["t1"])
        world.plug("hv2", "t1", netns="t1b")
        self.check_rarp(self.wire("t1b"), "t1")


class Flood(Case):
    def test_does_not_reach_the_nva(self):
        """100,000 claims a second: a handful of registrations, and the agent answers meanwhile."""
        world = self.world(**{"port-addresses": 4})
        world.plug("hv1", "t1")
        world.plug("hv1", "t2")
        world.give("t2", IP4["t2"])
        flood = json.loads(inside("t1", FLOOD, "eth0", MACS["t1"], 100000, 2, world.processes["hv1"].pid).stdout)
        print(flood, flush=True)
        inside("t2", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t2"], check=False)
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


    def test_many_macs(self):
        """A guest that sends from a new MAC each time: so many are registered and no more, and another is heard."""
        world = self.world(**{"port-macs": 20})
        world.plug("hv1", "t1")
        world.plug("hv1", "t2")
        world.give("t2", IP4["t2"])
        print(inside("t1", FLOOD, "eth0", "any", 20000, 1, world.processes["hv1"].pid).stdout, flush=True)
        inside("t2", "arping", "-U", "-c", 1, "-I", "eth0", IP4["t2"], check=False)
        world.knows("t2", IP4["t2"])
        ports = [port for port in world.ask("hv1", "ports")["ports"] if port["device"] == "p-t1"]
        self.assertEqual(len(ports), 20)
        self.assertGreater(world.status("hv1")["counters"]["macs_refused"], 10000)
        self.assertLess(world.ask("hv1", "nva", "status")["nva"]["counters"]["registered"], 100)
        self.assertEqual(world.log("hv1").count("port-macs"), 1)


def skip(what):
    print(f"SKIP: {what}")
    sys.exit(77)


def main():
    global AGENT, NVA, NVECTL, FLOOD
    if os.geteuid() != 0:
        skip("network namespaces need root")
    for tool in ("arping", "ndisc6"):
        if not shutil.which(tool):
            skip(f"no {tool}")
    if os.environ.get("REHOME_TEST_NETNS") != "own":
        environment = {**os.environ, "REHOME_TEST_NETNS": "own"}
        os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv], environment)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    AGENT, NVA, NVECTL, FLOOD = (os.path.abspath(path) for path in sys.argv[1:5])
    del sys.argv[1:5]
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
