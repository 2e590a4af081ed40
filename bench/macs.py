# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many MACs of one host on their way to the other hosts' kernels: rehome beside FRR's EVPN, for bench/directory --frr.

Three NVEs in namespaces, each with a bridge and kernel VXLAN; rehome with the real NVA and agents, FRR with bgpd and zebra
on each NVE, as the lab brings them up. With either, the same:

  fill     a port of hv1's bridge hears a frame from each MAC, one right after the other, all to hv1 itself. Time from the
           first of them until hv2's kernel and peer's have all: a bridge entry and a VXLAN entry each.
  memory   growth of resident memory meanwhile (VmRSS), when all programs have become quiet, by MAC: of all that runs on
           the MACs' host (rehome: agent and NVA, which is counted to that host; FRR: bgpd and zebra), and of all that
           runs on a host that only hears of them.
  moves    hv2's port hears such a frame from one of the MACs, as after a move. Time from the frame's sending until peer's kernel
           sends frames for that MAC to hv2. One after the other, another MAC each time.

fdb_watch hears the kernels' notices with a real-time priority above the agents'. The programs run as their systemd units
have them: the agent with SCHED_RR, FRR's with a nice value of -5. Nothing else is tuned, but for a cap of rehome's, 1024 MACs
on one bridge port, which would rather not have such a port.
"""

import contextlib
import json
import math
import os
import re
import socket
import statistics
import struct
import time

from lab import Lab, systems, wait_until
from lab.namespaces import net_namespace
from lab.systems import overlay

SYSTEMS = {"rehome": "rehome", "frr": "frr_evpn"}  # as told; as package lab has it
TARGETS = ("nva/nva", "nveagent/nveagent", "nvectl/nvectl", "hook/rehome-hook", "bench/fdb_watch")
MORE = {"rehome": {"agent": {"port-macs": 65536, "libvirt-uri": "none"}}}
NICE = {"bgpd": -5, "zebra": -5}  # frr.service of Debian
PORT, OUTSIDE = "macs0", "macs1"  # in the bridge; where its frames come from
WATCH = "fdb_watch"
SOURCE, TARGET, THIRD = "hv1", "hv2", "peer"
EXPERIMENTAL = 0x88B5  # IEEE 802: EtherType for local experiments
LISTEN_TIMEOUT_S, FILL_TIMEOUT_S, QUIET_TIMEOUT_S, MOVE_TIMEOUT_S = 10, 120, 60, 10
QUIET_S, QUIET_CPU_S = 1, 0.05
_MOVED = re.compile(r"^(\d+) (\d+) (\S+)$", re.MULTILINE)
_ALL = re.compile(r"^(\d+) all$", re.MULTILINE)


def mac_of(number):
    """As fdb_watch.c numbers them."""
    return f"52:54:b0:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _frame(to, source):
    """The least Ethernet frame."""
    return struct.pack("!6s6sH46x", *(bytes.fromhex(mac.replace(":", "")) for mac in (to, source)), EXPERIMENTAL)


def _now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class _Programs:
    """What a system runs: {host name: [pid]}."""

    def __init__(self, lab):
        self._of = {host.name: [daemon.pid for name, daemon in host.daemons.items() if name != WATCH]
                    for host in lab.hosts.values()}
        for host in lab.hosts.values():
            for name, daemon in host.daemons.items():
                if name in NICE:
                    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
                        os.setpriority(os.PRIO_PROCESS, int(thread), NICE[name])

    def _all(self):
        return [pid for pids in self._of.values() for pid in pids]

    def memory(self, *hosts):
        """Bytes, of HOSTS together."""
        total = 0
        for pid in (pid for host in hosts for pid in self._of[host]):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                total += int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024
        return total

    def _cpu_s(self):
        total = 0
        for pid in self._all():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def wait_quiet(self):
        """Until all of them together have used next to no CPU for a second."""
        seen = [(time.monotonic(), self._cpu_s())]

        def quiet():
            now, used = time.monotonic(), self._cpu_s()
            if used - seen[0][1] > QUIET_CPU_S:
                seen[0] = (now, used)
            return now - seen[0][0] >= QUIET_S
        wait_until(quiet, "end of what the programs have to do", QUIET_TIMEOUT_S, poll=0.1)


class _Scene:
    """A lab with SYSTEM, a port for the MACs on two hosts, and a watch on two kernels. A context."""

    def __init__(self, system, build, count, underlay, say):
        self._build, self._count = build, count
        self.lab = Lab(systems.by_name(SYSTEMS[system], build, **MORE.get(system, {})), underlay, build=build,
                       libvirtd=False, tenants=False, say=say)
        self.programs, self._senders = None, {}

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.lab)
            self._furnish()
            undo.pop_all()
        return self

    def __exit__(self, *error):
        for sender in self._senders.values():
            sender.close()
        self.lab.__exit__(*error)

    def _furnish(self):
        lab = self.lab
        for name in (SOURCE, TARGET):
            lab[name].ip(f"link add name {PORT} type veth peer name {OUTSIDE}\n"
                         f"link set dev {OUTSIDE} addrgenmode none up\n"
                         f"link set dev {PORT} addrgenmode none master {overlay.BRIDGE} up\n")
            with net_namespace(lab[name].holder.namespace("net")):
                self._senders[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self._senders[name].bind((OUTSIDE, 0))
        self.programs = _Programs(lab)
        for name in (TARGET, THIRD):
            lab[name].daemon(WATCH, ["chrt", "--fifo", "2", os.path.join(self._build, "bench", WATCH), overlay.VXLAN,
                                     self._count]).wait_output("listens", LISTEN_TIMEOUT_S)

    def _mac_of(self, host, device):
        return json.loads(self.lab[host].run(["ip", "-j", "link", "show", "dev", device]).stdout)[0]["address"]

    def _heard(self, host, pattern):
        """What the watch on HOST has said that matches."""
        daemon = self.lab[host].daemons[WATCH]
        daemon.require_running()
        return pattern.findall(daemon.output())

    def fill(self):
        """Seconds until (the source's port has heard from all, the others' kernels have them)."""
        bridge = self._mac_of(SOURCE, overlay.BRIDGE)
        frames = [_frame(bridge, mac_of(number)) for number in range(self._count)]
        began_us = _now_us()
        for frame in frames:
            self._senders[SOURCE].send(frame)
        sent_us = _now_us()
        full_us = [int(wait_until(lambda on=host: self._heard(on, _ALL), f"all MACs in the kernel of {host}",
                                  FILL_TIMEOUT_S)[0]) for host in (TARGET, THIRD)]
        return (sent_us - began_us) / 1e6, (max(full_us) - began_us) / 1e6

    def move(self, number):
        """Milliseconds from the frame to the third host's kernel."""
        frame = _frame(self._mac_of(TARGET, overlay.BRIDGE), mac_of(number))
        vtep = self.lab[TARGET].vtep

        def arrived():
            return [at for at, moved, to in self._heard(THIRD, _MOVED) if int(moved) == number and to == vtep]
        began_us = _now_us()
        self._senders[TARGET].send(frame)
        return (int(wait_until(arrived, f"{mac_of(number)} at {vtep}", MOVE_TIMEOUT_S, poll=0.01)[0]) - began_us) / 1000


def _percentile(values, part):
    """The value that PART of VALUES do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def _hosts(system):
    """(those that bear a system's programs of the MACs' host, of a host that hears of them)."""
    return ((SOURCE, "nva") if system == "rehome" else (SOURCE,)), (THIRD,)


def run(system, build, count, moves, underlay, say):
    """One run of SYSTEM: its figures."""
    with _Scene(system, build, count, underlay, say) as scene:
        near, far = _hosts(system)
        scene.programs.wait_quiet()
        before = scene.programs.memory(*near), scene.programs.memory(*far)
        sent_s, fill_s = scene.fill()
        scene.programs.wait_quiet()
        after = scene.programs.memory(*near), scene.programs.memory(*far)
        say(f"{system}: {count} MACs in the other kernels after {fill_s:.3f} s (the last frame was sent after {sent_s:.3f} s)")
        took_ms = [scene.move(number * (count // moves)) for number in range(moves)]
        say(f"{system}: {moves} moves, median {statistics.median(took_ms):.3f} ms, at most {max(took_ms):.3f} ms")
    return {"system": system, "macs": count, "underlay": underlay, "sent_s": round(sent_s, 3), "fill_s": round(fill_s, 3),
            "memory_bytes_per_mac": round((after[0] - before[0]) / count, 1),
            "memory_bytes_per_mac_elsewhere": round((after[1] - before[1]) / count, 1), "move_ms": took_ms}


def summary(runs, cannot):
    """The figures of several runs, side by side: medians, and all moves together. CANNOT: {system: why there is none}."""
    of = {system: [one for one in runs if one["system"] == system] for system in SYSTEMS if system not in cannot}

    def both(figure):
        return {system: round(figure(found), 3) for system, found in of.items()}

    def median_of(key):
        return both(lambda found: statistics.median(one[key] for one in found))

    def moves(found):
        return [took for one in found for took in one["move_ms"]]
    return {"macs": runs[0]["macs"], "underlay": runs[0]["underlay"], "moves": len(moves(of["rehome"])),
            **{key: median_of(key) for key in ("sent_s", "fill_s", "memory_bytes_per_mac",
                                               "memory_bytes_per_mac_elsewhere")},
            "move_p50_ms": both(lambda found: statistics.median(moves(found))),
            "move_p99_ms": both(lambda found: _percentile(moves(found), 0.99)),
            "move_max_ms": both(lambda found: max(moves(found))), "cannot": cannot}
