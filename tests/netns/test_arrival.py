#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What happens when an endpoint arrives at a host: announcements, and RARP, which announces or asks.

usage: test_arrival.py NVEAGENT NVA NVECTL [UNITTEST-ARGUMENT...]
"""

import json
import pathlib
import socket
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fake_qemu import FakeQemu  # noqa: E402
from tenants import (Case, DEADLINE_S, IP4, IP6, MACS, VNI, announcement4, arp, icmpv6, inside, mac_bytes, main, na,
                     rarp_request, run, wait_until)  # noqa: E402

ROUNDS = 5  # of announcements: nveagent/port_effects.c
GATEWAY4, GATEWAY6 = "198.51.100.1", "2001:db8:100::1"


class Arrival(Case):
    def test_rarp(self):
        """A diskless client gets its own address, wherever it runs (RFC 903); one that nobody knows gets no answer."""
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                world = self.world(underlay)
                world.plug("hv1", "t1")
                world.give("t1", IP4["t1"])
                self.announce("t1", IP4["t1"])
                world.knows("t1", IP4["t1"])
                # It boots again, here.
                run("ip", "-n", "t1", "addr", "flush", "dev", "eth0")
                self.check_rarp(self.wire("t1"), "t1")
                # It boots again, on the other host.
                run("ip", "netns", "del", "t1")
                world.plug("hv2", "t2")
                self.wire("t2").send(rarp_request("t2"))
                self.assertEqual(world.status("hv2")["counters"]["rarp_answers"], 0)

    def test_cold_client(self):
        """
        A client that nobody has ever heard gets the address that the NVA has been told, on any host, and is heard of by
        then; one that is reserved later gets its own without a restart.
        """
        for underlay, mode in ((4, "push"), (6, "push"), (4, "pull")):
            with self.subTest(underlay=underlay, mode=mode):
                world = self.world(underlay, cold=("t1", "t2"), mode=mode)
                for host, name in (("hv1", "t1"), ("hv2", "t2")):
                    world.plug(host, name)
                    known = self.wire(name)
                    self.check_rarp(known, name)
                world.plug("hv2", "t3")
                wire = self.wire("t3")
                wire.send(rarp_request("t3"))
                self.check_rarp(known, "t2")  # answered after that
                self.assertEqual(world.status("hv2")["counters"]["rarp_answers"], 2)
                # What it says itself does not count against what is reserved.
                wire.send(announcement4(mac_bytes(MACS["t3"]), "198.51.100.77"))
                world.knows("t3", "198.51.100.77", vtep="hv2", at="hv2")
                with open(world.reservations, "a", encoding="ascii") as file:
                    file.write(f"{VNI} {MACS['t3']} {IP4['t3']}\n")
                self.check_rarp(wire, "t3", patient=True)
                with open(world.reservations, "a", encoding="ascii") as file:
                    file.write("nonsense\n")
                wait_until(lambda: world.log("nva").count(f"{world.reservations}:5: ") == 1, "complaint about line 5")
                self.check_rarp(wire, "t3")

    def as_tshark_sees(self, frame):
        """Of an ARP or RARP frame: [operation, sender's MAC and address, target's MAC and address, faults]."""
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) +
                       struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame)
            file.flush()
            fields = ("arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac", "arp.dst.proto_ipv4",
                      "_ws.malformed")
            shown = run("tshark", "-n", "-r", file.name, "-T", "fields", *(f"-e{field}" for field in fields)).stdout
        return shown.rstrip("\n").split("\t")

    def check_rarp(self, wire, name, patient=False):
        """One question is answered; PATIENT: in the end, and with the address that it should have."""
        def look():
            if patient or not asked:
                wire.send(rarp_request(name))
                asked.append(name)
            frame = wire.hear()
            if not frame or frame[12:14] != b"\x80\x35" or frame[20:22] != b"\0\4":
                return None
            return None if patient and frame[38:42] != socket.inet_aton(IP4[name]) else frame
        asked = []
        reply = wait_until(look, "RARP reply")
        self.assertEqual(self.as_tshark_sees(reply), ["4", reply[6:12].hex(":"), "198.51.100.1", MACS[name], IP4[name], ""])
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
                self.check_self_announcement(self.world(underlay, foreign=("hv2", "far")))

    def check_self_announcement(self, world):
        world.plug("hv1", "t1")
        world.plug("hv2", "t2")
        world.give("t1", IP4["t1"], IP6["t1"])
        self.announce("t1", IP4["t1"])
        self.wire("t1").send(na(mac_bytes(MACS["t1"]), IP6["t1"], 0xa0))
        world.knows("t1", IP4["t1"], IP6["t1"])

        neighbour, far = self.wire("t2"), self.wire("far", "vx100")
        world.plug("hv2", "t1", netns="t1b")
        self.wire("t1b").send(rarp_request("t1"))
        world.give("t1b", IP4["t1"], IP6["t1"])
        world.knows("t1", IP4["t1"], IP6["t1"], vtep="hv2", at="hv1")
        for wire in (neighbour, far):
            self.check_announced(wire)

    def check_announced(self, wire, rounds=1):
        """Each form of the announcement is heard, so many times."""
        mac, ip4 = mac_bytes(MACS["t1"]), socket.inet_aton(IP4["t1"])
        heard = dict.fromkeys((announcement4(mac, IP4["t1"]), arp(0x0806, 2, (mac, ip4), (mac, ip4)),
                               na(mac, IP6["t1"], 0xa0), rarp_request("t1")), 0)

        def look():
            frame = wire.hear() or b""
            form = frame if frame in heard else frame[:42]  # Ethernet pads what is short
            if form in heard:
                heard[form] += 1
            return min(heard.values()) >= rounds
        wait_until(look, f"all forms of the announcement, {rounds} times")

    def test_rarp_on_another_host(self):
        """The directory knows the client from the host where it was; the new host answers."""
        world = self.world()
        world.plug("hv1", "t1")
        world.give("t1", IP4["t1"])
        self.announce("t1", IP4["t1"])
        world.knows("t1", IP4["t1"])
        world.plug("hv2", "t1", netns="t1b")
        self.check_rarp(self.wire("t1b"), "t1")
        # Without an NVA this host says what it knows.
        world.stop("nva")
        wait_until(lambda: not world.status("hv2")["nva"]["connected"], "end of the session")
        self.check_rarp(self.wire("t1b"), "t1")


class VmArrival(Case):
    """A VM moves, with a monitor that says so in QEMU's place and a veth in its tap's."""

    def vm(self, world, host, netns, running, prepare=None):
        """PREPARE: called with the namespace once it is plugged, before anything is said of it."""
        world.plug(host, "t1", netns=netns)
        if prepare:
            prepare(netns)
        qemu = FakeQemu(f"{world.directory}/{host}.qmp", running)
        self.addCleanup(qemu.stop)
        world.ask(host, "port", "add", "--qmp", qemu.path, "--tap", f"p-{netns}", "--mac", MACS["t1"], "--vni", VNI,
                  "--uuid", "6a6c1f6e-8f0b-4c1e-9a53-0f6f0c3a7d11")
        self.assertTrue(qemu.ready.wait(DEADLINE_S))
        return qemu

    def wait_state(self, world, host, *states):
        wait_until(lambda: (world.port(host, "t1") or {"state": "absent"})["state"] in states, f"{host} {states}")

    def move(self, world, source, target):
        """What the two QEMUs say of a migration from hv1 to hv2."""
        source.event("MIGRATION", status="setup")
        source.event("MIGRATION", status="active")
        self.wait_state(world, "hv1", "armed")
        source.event("STOP")
        source.event("MIGRATION", status="completed")
        self.wait_state(world, "hv1", "switched")
        target.event("RESUME")
        self.wait_state(world, "hv2", "resident")

    def test_announces_on_resume(self):
        """
        On RESUME the new host announces every address that the directory knows, also one that was learned while the
        memory was copied, to its own bridge and to who has no agent; the VM itself hears nothing; QEMU is asked to
        announce too, and what it says is no diskless client's question. Who has no agent cannot confirm that it has
        heard: all five rounds are sent.
        """
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                world = self.world(underlay, foreign=("hv2", "far"), cold=("t1",))
                self.check_announces(world)

    def check_announces(self, world):
        world.plug("hv2", "t2")
        source = self.vm(world, "hv1", "vm", running=True)
        old, mac = self.wire("vm"), mac_bytes(MACS["t1"])
        old.send(announcement4(mac, IP4["t1"]))
        world.knows("t1", IP4["t1"])
        target = self.vm(world, "hv2", "vmb", running=False)
        self.wait_state(world, "hv2", "plugged")
        old.send(na(mac, IP6["t1"], 0xa0))
        world.knows("t1", IP4["t1"], IP6["t1"], at="hv2")
        wires = self.wire("t2"), self.wire("far", "vx100")
        new = self.wire("vmb")
        new.send(rarp_request("t1"))  # QEMU's, early
        self.move(world, source, target)
        self.assertIn("announce-self", target.commands)
        new.send(rarp_request("t1"))  # QEMU's, asked for
        for wire in wires:
            self.check_announced(wire, ROUNDS)
        world.knows("t1", IP4["t1"], IP6["t1"], vtep="hv2", at="hv1")
        self.assertIn("router", world.mapping("hv1", "t1")["flags"])

        # What the bridge floods to the VM after it comes after whatever was said before.
        self.wire("t2").send(announcement4(mac_bytes(MACS["t2"]), IP4["t2"]))
        heard = []
        new.until(lambda frame: heard.append(frame) or frame[6:12] == mac_bytes(MACS["t2"]), "t2's GARP")
        self.assertEqual([frame for frame in heard if frame[6:12] == mac], [])
        self.assertEqual(world.status("hv2")["counters"]["rarp_answers"], 0)

    check_announced = Arrival.check_announced

    def gateways(self, world):
        """{host: MAC} of br100, which has the gateway's addresses on each host."""
        macs = {}
        for host in ("hv1", "hv2"):
            run("ip", "-n", host, "addr", "add", f"{GATEWAY4}/24", "dev", "br100")
            run("ip", "-n", host, "addr", "add", f"{GATEWAY6}/64", "dev", "br100", "nodad")
            macs[host] = json.loads(run("ip", "-n", host, "-j", "link", "show", "br100").stdout)[0]["address"]
        return macs

    @staticmethod
    def entries(netns):
        """{gateway: MAC} as a guest's kernel has them."""
        told = json.loads(run("ip", "-n", netns, "-s", "-j", "neigh", "show", "dev", "eth0").stdout or "[]")
        return {row["dst"]: row.get("lladdr") for row in told if row["dst"] in (GATEWAY4, GATEWAY6)}

    def test_refreshes_the_gateway(self):
        """
        A gateway that every host has by itself, with another MAC on each: the guest that arrives, a stock kernel which
        accepts no GARP, has the new host's at once. It is asked something by each address of the gateway: an ARP request
        (RFC 826: the receiver merges the sender) and an NS with a source link-layer address option (RFC 4861 section
        7.2.3), to the guest alone.
        """
        for underlay in (4, 6):
            with self.subTest(underlay=underlay):
                world = self.world(underlay)
                self.check_gateway(world, self.gateways(world))

    def check_gateway(self, world, macs):
        def settle_in(netns):
            """As its memory has it; it stands still, so it says nothing."""
            inside(netns, "nft", "add table inet quiet; "
                   "add chain inet quiet out { type filter hook output priority 0; policy drop; }")
            world.give(netns, IP4["t1"], IP6["t1"])
            for gateway in (GATEWAY4, GATEWAY6):
                run("ip", "-n", netns, "neigh", "replace", gateway, "lladdr", macs["hv1"], "dev", "eth0", "nud", "reachable")

        self.assertNotEqual(macs["hv1"], macs["hv2"])
        source = self.vm(world, "hv1", "vm", running=True)
        world.give("vm", IP4["t1"], IP6["t1"])
        for gateway in (GATEWAY4, GATEWAY6):
            inside("vm", "ping", "-n", "-c1", "-W5", gateway)
        self.assertEqual(self.entries("vm"), dict.fromkeys((GATEWAY4, GATEWAY6), macs["hv1"]))
        world.knows("t1", IP4["t1"], IP6["t1"])
        target = self.vm(world, "hv2", "vmb", running=False, prepare=settle_in)
        self.wait_state(world, "hv2", "plugged")
        self.assertEqual(self.entries("vmb"), dict.fromkeys((GATEWAY4, GATEWAY6), macs["hv1"]))
        wire = self.wire("vmb")
        self.move(world, source, target)
        wait_until(lambda: self.entries("vmb") == dict.fromkeys((GATEWAY4, GATEWAY6), macs["hv2"]), "the new gateway's MAC")

        guest, gateway = mac_bytes(MACS["t1"]), mac_bytes(macs["hv2"])
        group = f"ff02::1:ff00:{IP6['t1'][-2:]}"
        wanted = [arp(0x0806, 1, (gateway, socket.inet_aton(GATEWAY4)), (b"\0" * 6, socket.inet_aton(IP4["t1"])), to=guest),
                  icmpv6(gateway, GATEWAY6, group, bytes((135, 0, 0, 0, 0, 0, 0, 0)) +
                         socket.inet_pton(socket.AF_INET6, IP6["t1"]) + b"\x01\x01" + gateway, to_mac=guest)]
        for frame in wanted:  # Ethernet pads what is short
            wire.until(lambda heard, f=frame: heard[:len(f)] == f and not any(heard[len(f):]), frame.hex())

    def test_is_not_asked_while_it_stands_still(self):
        """A VM that is paused cannot answer: it keeps its addresses, and loses them when it runs and is silent."""
        world = self.world(**{"neighbour-age": 1})
        qemu = self.vm(world, "hv1", "vm", running=True)
        wire, mac = self.wire("vm"), mac_bytes(MACS["t1"])
        qemu.event("STOP")
        wire.send(announcement4(mac, IP4["t1"]))
        world.knows("t1", IP4["t1"])
        world.plug("hv1", "t2")  # meanwhile another one comes, gives its address up, and is found out
        self.wire("t2").send(announcement4(mac_bytes(MACS["t2"]), IP4["t2"]))
        world.knows("t2", IP4["t2"])
        world.knows("t2")
        world.knows("t1", IP4["t1"])
        qemu.event("RESUME")
        world.knows("t1")


if __name__ == "__main__":
    main(("nft", "tshark"), 3)
