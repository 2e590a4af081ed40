# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A small overlay of real agents and a real NVA, with tenants that are namespaces, for tests of what tenants say.

    hv1 --.                .-- hv2             each a namespace with an agent, br100 and vx100
          |- br-underlay --|
    far --'  (and the NVA) '                   far: a VTEP without an agent
    t1, t2, ... tenants: a veth to the br100 of a host

The process is in a network and a mount namespace of its own, with a fresh /run.
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
    """
    Two hosts, a VTEP without an agent, an NVA. The namespace of the test is the underlay's switch.

    programs: paths of the agent, the NVA and nvectl. foreign: (host, VTEP) that somebody put into the host's flood
    list. cold: names of tenants for which the NVA has reservations. keys: of the agents' configuration.
    """

    def __init__(self, directory, underlay, programs, foreign=None, cold=(), mode="push", **keys):
        self.foreign, self.mode = foreign, mode
        self.reservations = self._reserve(directory, cold) if cold else None
        self.agent, self.nva, self.nvectl = programs
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
        if self.foreign:
            self._flood_to(*self.foreign)
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

    def _flood_to(self, host, vtep):
        """The host's VXLAN device is there before the agent, which adopts it."""
        inside(host, "ip", "link", "add", "vx100", "type", "vxlan", "id", VNI, "dstport", 4789, "local",
               self.address[host], "nolearning")
        inside(host, "bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx100", "dst", self.address[vtep])

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

    @staticmethod
    def _reserve(directory, names):
        path = f"{directory}/reservations"
        with open(path, "w", encoding="ascii") as file:
            file.write("# diskless clients\n" + "".join(f"{VNI} {MACS[name]} {IP4[name]}\n" for name in names))
        return path

    def start_nva(self):
        path = self._write("nva", f"[nva]\nname = nva1\nlisten = {self.address['nva']}\ninsecure-plain = yes\n"
                                  f"socket = {self.directory}/nva.sock\n" +
                           (f"reservations = {self.reservations}\n" if self.reservations else "") +
                           f"[store]\npath = {self.directory}/store\n")
        self._start("nva", [self.nva, "--config", path], "ready: ")

    def start_agent(self, host):
        nva = self.address["nva"] if self.family == 4 else f"[{self.address['nva']}]"
        keys = "".join(f"{key} = {value}\n" for key, value in self.keys.items())
        path = self._write(host, f"[agent]\nname = {host}\nvtep = {self.address[host]}\nnva = {nva}\n"
                                 f"insecure-plain = yes\nlibvirt-uri = none\nsocket = {self.directory}/{host}.sock\n{keys}"
                                 f"[vni {VNI}]\nrarp-server = 198.51.100.1\nmode = {self.mode}\n")
        self._start(host, ["ip", "netns", "exec", host, self.agent, "--config", path], "ready: ")
        wait_until(lambda: self.status(host)["nva"]["connected"] and self.status(host)["vnis"][0]["synced"],
                   f"session of {host}")

    def stop(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(DEADLINE_S)

    def ask(self, host, *words):
        return json.loads(run(self.nvectl, *words, "--json", "--socket", f"{self.directory}/{host}.sock").stdout)

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
        """
        A tenant on the host's br100, whose agent listens to it when this returns; QUIET: it says nothing by itself, as
        when IPv6 is off.
        """
        netns = netns or name
        run("ip", "netns", "add", netns)
        inside(netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1" if quiet else
               "net.ipv6.conf.default.accept_dad=1")
        run("ip", "-n", host, "link", "add", f"p-{netns}", "type", "veth", "peer", "name", "eth0", "netns", netns)
        run("ip", "-n", netns, "link", "set", "eth0", "address", MACS[name])
        run("ip", "-n", host, "link", "set", f"p-{netns}", "master", "br100", "up")
        run("ip", "-n", netns, "link", "set", "eth0", "up")
        wait_until(lambda: "LOWER_UP" in run("ip", "-n", netns, "link", "show", "eth0").stdout, "carrier")
        if host in self.processes:
            wait_until(lambda: self.listens(host, f"p-{netns}"), f"agent of {host} listens to {netns}")

    @staticmethod
    def listens(host, device):
        """Whether somebody has a packet socket on the device, packet(7)."""
        index = inside(host, "cat", f"/sys/class/net/{device}/ifindex").stdout.strip()
        sockets = inside(host, "cat", "/proc/net/packet").stdout.splitlines()[1:]
        return any(row.split()[4] == index for row in sockets)  # sk RefCnt Type Proto Iface ...

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


def rarp_request(name):
    """A diskless client's, and QEMU's self-announcement: the same bytes."""
    mac = mac_bytes(MACS[name])
    return arp(0x8035, 3, (mac, ZERO4), (mac, ZERO4))


def announcement4(mac, address):
    """RFC 5227 section 2.3."""
    return arp(0x0806, 1, (mac, socket.inet_aton(address)), (b"\0" * 6, socket.inet_aton(address)))


def speak(tenant, *addresses):
    """
    A tenant of the lab announces ADDRESSES (default: its own), once: by a GARP (which takes `arping -U` a second) and an
    unsolicited NA.
    """
    with tenant.namespace(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        mac = wire.getsockname()[4]
        for address in addresses or (tenant.ip4, tenant.ip6):
            wire.send(na(mac, address) if ":" in address else announcement4(mac, address))


class Case(unittest.TestCase):
    """Makes worlds, and shows their logs when a test fails."""

    programs = ()  # paths of the agent, the NVA, nvectl, and what else the file's arguments name
    last = None

    def world(self, underlay=4, **keys):
        """A fresh one; there is one at a time."""
        if self.last:
            self.finish(self.last)
        directory = tempfile.mkdtemp(prefix="rehome-addresses-")
        self.addCleanup(shutil.rmtree, directory)
        world = World(directory, underlay, self.programs[:3], **keys)
        self.addCleanup(self.finish, world)
        self.last = world
        world.build()
        return world

    def finish(self, world):
        for name in world.processes if not self._outcome.success else ():
            print(f"--- {name}\n{world.log(name)}", flush=True)
        world.close()

    @staticmethod
    def announce(name, address):
        """A GARP of the tenant, as by `arping -U`, which takes a second."""
        with contextlib.closing(Wire(name)) as wire:
            wire.send(announcement4(mac_bytes(MACS[name]), address))

    def wire(self, netns, device="eth0"):
        wire = Wire(netns, device)
        self.addCleanup(wire.close)
        return wire


def main(tools, count):
    """Runs the tests of the calling file, whose first COUNT arguments are programs; skips without root or TOOLS."""
    if os.geteuid() != 0:
        sys.exit(skip("network namespaces need root"))
    for tool in tools:
        if not shutil.which(tool):
            sys.exit(skip(f"no {tool}"))
    if os.environ.get("REHOME_TEST_NETNS") != "own":
        environment = {**os.environ, "REHOME_TEST_NETNS": "own"}
        os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv], environment)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    Case.programs = [os.path.abspath(path) for path in sys.argv[1:1 + count]]
    del sys.argv[1:1 + count]
    unittest.main(verbosity=2)


def skip(why):
    print(f"SKIP: {why}")
    return 77
