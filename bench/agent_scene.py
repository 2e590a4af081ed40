# SPDX-License-Identifier: LGPL-2.1-or-later
"""One NVE in the present network namespace: devices, a scripted NVA, an agent, and a QEMU that is none."""

import contextlib
import fcntl
import json
import os
import queue
import re
import socket
import struct
import subprocess
import threading
import time

from lab import LabError, wait_until

VNI, PORT = 100, 7365
VTEPS = 16
UPDATE_MAPPINGS = 256  # fake_nva.c
NVA = {4: "127.0.0.1", 6: "::1"}
VTEP = {4: "192.0.2.1", 6: "2001:db8::1"}
NEW_NVE = {4: "192.0.2.2", 6: "2001:db8::2"}
TIMEOUT_S = 120
REALTIME = ["chrt", "--rr", "1"]  # as nveagent.service has it
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000  # linux/if_tun.h


def run(*argv, check=True):
    return subprocess.run(argv, check=check, stdout=subprocess.PIPE, text=True).stdout


def ip(batch):
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)


def bridge(batch):
    subprocess.run(["bridge", "-batch", "-"], input=batch, text=True, check=True)


class FakeNva:
    """The scripted NVA with COUNT mappings; .events has what it heard: (CLOCK_MONOTONIC in us, words)."""

    def __init__(self, scene, count):
        self._process = subprocess.Popen(
            [scene.program("tests/netns/fake_nva"), NVA[scene.underlay], str(PORT), str(VNI), str(count), str(VTEPS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events, self._said = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.expect("listens")

    def _read(self):
        for line in self._process.stdout:
            at, words = line.rstrip("\n").split(" ", 1)
            event = (int(at), words)
            self.events.append(event)
            self._said.put(event)
        self._said.put((0, None))

    def expect(self, pattern):
        """The next thing heard that matches: when, and the match."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                at, words = self._said.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise LabError(f"the agent did not say {pattern!r} in {TIMEOUT_S} s; the last: {self.events[-3:]}") from None
            if words is None:
                raise LabError(f"the scripted NVA ended before {pattern!r}")
            match = re.match(pattern, words)
            if match:
                return at, match

    def tell(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_acked(self, revision):
        """Until REVISION is confirmed; when that was."""
        while True:
            at, match = self.expect(r"ack (\d+)$")
            if int(match.group(1)) >= revision:
                return at

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


class Agent:
    def __init__(self, scene):
        self._scene = scene
        self._process = subprocess.Popen([*REALTIME, scene.program("nveagent/nveagent"), "--config", scene.config],
                                         stderr=subprocess.PIPE, text=True)
        self.pid, self._log = self._process.pid, []
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(TIMEOUT_S):
            raise LabError("the agent is not ready:\n" + "".join(self._log))

    def _read(self):
        for line in self._process.stderr:
            self._log.append(line)
            if "ready" in line:
                self._ready.set()

    def ctl(self, *words):
        return json.loads(run(self._scene.program("nvectl/nvectl"), "--socket", self._scene.socket, "--json", *words))

    def private_bytes(self):
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:")) * 1024

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        self._process.stderr.close()


class FakeQemu:
    """Holds a tap and a monitor as QEMU does, and says what QEMU says when a migration begins and fails."""

    def __init__(self, scene, tap, mac):
        self.tap, self.mac, self.path = tap, mac, os.path.join(scene.directory, "qemu.qmp")
        self._tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._tap, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        ip(f"link set dev {tap} addrgenmode none master br{VNI} up\n")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._client = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        self._client, _ = self._listener.accept()
        self._send({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}})
        with self._client.makefile("r") as lines:
            for line in lines:
                question = json.loads(line)
                status = {"status": "running", "singlestep": False, "running": True}
                self._send({"return": status if question["execute"] == "query-status" else {}, "id": question.get("id")})

    def _send(self, message):
        self._client.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name, **data):
        """Returns its timestamp, microseconds of CLOCK_REALTIME."""
        now = time.time_ns() // 1000
        self._send({"timestamp": {"seconds": now // 1000000, "microseconds": now % 1000000}, "event": name,
                    **({"data": data} if data else {})})
        return now

    def close(self):
        os.close(self._tap)
        self._listener.close()
        os.unlink(self.path)
        if self._client:
            self._client.close()


class Scene:
    def __init__(self, build, directory, underlay):
        self.build, self.directory, self.underlay = build, directory, underlay
        self.config, self.socket = os.path.join(directory, "agent.conf"), os.path.join(directory, "agent.sock")
        nva = NVA[underlay] if underlay == 4 else f"[{NVA[underlay]}]"
        with open(self.config, "w", encoding="ascii") as file:
            file.write(f"[agent]\nname = bench\nvtep = {VTEP[underlay]}\nnva = {nva}:{PORT}\nsocket = {self.socket}\n"
                       f"libvirt-uri = none\nlog-level = notice\n[vni {VNI}]\n")
        length = 24 if underlay == 4 else "64 nodad"
        ip("link set dev lo up\nlink add name u0 mtu 1600 type veth peer name u1\n"
           f"address add {VTEP[underlay]}/{length} dev u0\nlink set dev u0 up\nlink set dev u1 up\n")

    def program(self, path):
        return os.path.join(self.build, path)

    def add_devices(self):
        """As the agent makes them, for what is measured beside it."""
        ip(f"link add name br{VNI} type bridge stp_state 0 mcast_snooping 0 vlan_default_pvid 0\n"
           f"link add name vx{VNI} type vxlan id {VNI} dstport 4789 local {VTEP[self.underlay]} nolearning\n"
           f"link set dev vx{VNI} addrgenmode none master br{VNI} up\nlink set dev br{VNI} addrgenmode none up\n"
           f"link set dev vx{VNI} type bridge_slave learning off neigh_suppress on\n")

    def remove_devices(self):
        ip(f"link del dev vx{VNI}\nlink del dev br{VNI}\n")

    @contextlib.contextmanager
    def running(self, count):
        """(NVA, agent) with COUNT mappings, all of them in the kernel; (SUBSCRIBE, confirmation) are agent.synced_us."""
        with contextlib.ExitStack() as stack:
            nva = FakeNva(self, count)
            stack.callback(nva.close)
            agent = Agent(self)
            stack.callback(self.remove_devices)
            stack.callback(agent.close)
            began, _ = nva.expect(f"subscribe {VNI}")
            agent.synced_us = (began, nva.wait_acked(max(1, -(-count // UPDATE_MAPPINGS))))
            yield nva, agent

    def count_entries(self):
        """(bridge's, VXLAN device's, IPv4 and IPv6 neighbours) that bear our mark, of unicast addresses."""
        fdb = [line for line in run("bridge", "fdb", "show", "dev", f"vx{VNI}").splitlines() if "extern_learn" in line]
        neighbours = [sum("extern_learn" in line for line in
                          run("ip", family, "neigh", "show", "dev", f"br{VNI}", "nud", "all").splitlines())
                      for family in ("-4", "-6")]
        return [sum("master" in line for line in fdb), sum("self" in line for line in fdb), *neighbours]


__all__ = ["FakeQemu", "NEW_NVE", "REALTIME", "Scene", "UPDATE_MAPPINGS", "VNI", "bridge", "ip", "run", "wait_until"]
