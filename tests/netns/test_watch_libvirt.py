#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What watch_libvirt.h tells of real libvirtds and QEMUs: a life of a domain, restarts, a hung daemon, a hot move.

usage: test_watch_libvirt.py WATCH_LIBVIRT_TOOL
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import Lab, LabError, TimedOut, libvirt, systems, wait_until  # noqa: E402

SKIP = 77
TIMEOUT_S = 20
KEEPALIVE_S = 20  # (3 + 1) * 5 s of WATCH_LIBVIRT_KEEPALIVE_*
PIPE_SIZE = 1 << 20  # the tool must never wait for its reader
STOP_S = 2  # WATCH_LIBVIRT_STOP_S
SLACK_S = 1  # for a process to end, with sanitizers
ROUNDS = 50
UUID = "7c0e5a10-9d1f-4d53-8f7a-5a1f000000{:02x}"
UNKNOWN = UUID.format(0xff)

# No disk, no kernel: SeaBIOS runs, and finds nothing to boot.
BARE = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <mac address='52:54:00:aa:00:{number:02x}'/><source bridge='br100'/><model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <memballoon model='none'/>
  </devices>
</domain>
"""
NIC = """
<interface type='bridge'>
  <mac address='52:54:00:aa:00:ee'/><source bridge='br100'/><model type='virtio'/><rom enabled='no'/>
</interface>
"""


class Bare:
    def __init__(self, number):
        self.number, self.name, self.uuid = number, f"bare{number}", UUID.format(number)

    def xml(self):
        return BARE.format(name=self.name, uuid=self.uuid, number=self.number)

    def start(self, host):
        host.run(["virsh", "-q", "-c", "qemu:///system", "create", "/dev/stdin"], input=self.xml())


class Watch:
    """The tool on a host; .lines is what it said, .seen is how much of it the test has used."""

    def __init__(self, host, tool):
        self.host, self.lines, self.seen, self._rest = host, [], 0, b""
        self.process = host.popen([tool, "qemu:///system"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        fcntl.fcntl(self.process.stdout, fcntl.F_SETFL, os.O_NONBLOCK)
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def _read(self):
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.process.stdout.fileno(), 1 << 16):
                *whole, self._rest = (self._rest + data).split(b"\n")
                self.lines += map(json.loads, whole)

    def next(self, timeout=TIMEOUT_S, **wanted):
        """Waits for a line with the values WANTED; what came before it counts as used."""
        def find():
            self._read()
            for number, line in enumerate(self.lines[self.seen:], self.seen):
                if wanted.items() <= line.items():
                    self.seen = number + 1
                    return line
            return None
        try:
            return wait_until(find, f"{wanted} from {self.host.name}", timeout, poll=0.005)
        except TimedOut as error:
            said = "\n".join(map(str, self.lines[-12:]))
            raise TimedOut(f"{error}; it said last:\n{said}") from None

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.next(what="obeyed")["result"]

    def close(self):
        """Ends it; seconds it took to release the watch."""
        self.process.stdin.close()
        line = self.next(what="ended")
        status = self.process.wait(TIMEOUT_S)
        self.process.stdout.close()
        check(status == 0, f"the tool ended with {status}")
        return line["took_us"] / 1e6


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def names(lines):
    """A line as a word, for comparing sequences."""
    return [line.get("status") or line.get("event") or line.get("state") or line["what"] for line in lines]


def listed(watch):
    """The lines from "connected" to "resynced"."""
    watch.next(what="connected", connected=True)
    start = watch.seen
    watch.next(what="resynced")
    return watch.lines[start:watch.seen - 1]


def connects_when_libvirtd_comes(lab, watch):
    host = lab["hv1"]
    lost = watch.next(what="connected")
    check(not lost["connected"] and "libvirt" in lost["reason"], f"a reason for no connection: {lost}")
    lab.start_libvirtd()
    check(listed(watch) == [], "an empty host has no domains")
    told = [line for line in watch.lines if line["what"] == "connected"]
    check(len(told) <= 3, f"each reason is told once, not at each attempt: {told}")
    check(host.daemons["libvirtd"].running(), "libvirtd runs")


def tells_a_life(lab, watch):
    host, vm = lab["hv1"], Bare(1)
    start = watch.seen
    vm.start(host)
    line = watch.next(what="domain", vm=vm.uuid, state="running")
    check(line["name"] == vm.name, f"its name: {line}")
    check(line["ports"] == [{"mac": "52:54:00:aa:00:01", "bridge": "br100", "tap": "vnet0"}], f"its port: {line}")
    host.virsh("suspend", vm.name)
    watch.next(what="domain", vm=vm.uuid, state="paused")
    host.virsh("resume", vm.name)
    watch.next(what="domain", vm=vm.uuid, state="running")
    host.run(["virsh", "-q", "-c", "qemu:///system", "attach-device", vm.name, "/dev/stdin"], input=NIC)
    line = watch.next(what="domain", vm=vm.uuid, state="running")
    check([port["tap"] for port in line["ports"]] == ["vnet0", "vnet1"], f"the plugged NIC: {line}")

    check(watch.ask(f"refresh {vm.uuid}") == 0, "refresh")
    line = watch.next(what="domain", vm=vm.uuid)
    check(line["state"] == "running" and not line["migrating_out"], f"the answer to refresh: {line}")
    check(watch.ask(f"refresh {UNKNOWN}") == 0, "refresh of one unknown")
    line = watch.next(what="domain", vm=UNKNOWN)
    check(line["state"] == "stopped" and line["name"] == "", f"the answer about one unknown: {line}")

    host.virsh("destroy", vm.name)
    line = watch.next(what="domain", vm=vm.uuid, state="stopped")
    check(line["name"] == vm.name, f"the name of one that stopped: {line}")

    said = [line for line in watch.lines[start:] if line["what"] == "qemu"]
    check(names(said)[:3] == ["RESUME", "STOP", "RESUME"], f"what QEMU said: {names(said)}")
    check(names(said)[3:] in ([], ["SHUTDOWN"]), f"and at its end: {names(said)}")
    check_consistent(watch.lines[start:], vm.uuid)


def check_consistent(lines, vm):
    """QEMU's times never go back, and domain() never contradicts the last STOP or RESUME before it."""
    last_us, stopped = 0, None
    for line in lines:
        if line.get("vm") != vm:
            continue
        if line["what"] == "qemu":
            check(line["said_us"] >= last_us, f"QEMU's time goes back: {line}")
            last_us = line["said_us"]
            stopped = {"STOP": True, "RESUME": False}.get(line["event"], stopped)
        elif line["state"] == "stopped":
            stopped = None
        elif stopped is not None:
            check((line["state"] == "running") != stopped, f"contradicts QEMU: {line}")


def tells_in_order_and_soon(lab, watch):
    host, vm = lab["hv1"], Bare(2)
    vm.start(host)
    watch.next(what="domain", vm=vm.uuid, state="running")
    start = watch.seen
    script = "".join(f"suspend {vm.name}\nresume {vm.name}\n" for _ in range(ROUNDS))
    host.run(["virsh", "-q", "-c", "qemu:///system"], input=script)
    for _ in range(ROUNDS):
        watch.next(what="qemu", event="STOP")
        watch.next(what="qemu", event="RESUME")
    watch.next(what="domain", vm=vm.uuid, state="running")
    said = [line for line in watch.lines[start:] if line["what"] == "qemu"]
    check(names(said) == ["STOP", "RESUME"] * ROUNDS, f"the order: {names(said)}")
    check_consistent(watch.lines[start:], vm.uuid)
    delays = sorted(line["heard_us"] - line["said_us"] for line in said)
    print(f"QEMU's timestamp to callback, us: min {delays[0]} median {delays[ROUNDS]} "
          f"p90 {delays[2 * ROUNDS * 9 // 10]} max {delays[-1]} ({2 * ROUNDS} events)")
    check(delays[-1] < 1000000, "an event took a second")
    host.virsh("destroy", vm.name)
    watch.next(what="domain", vm=vm.uuid, state="stopped")


def libvirtd_pid_of(host, vm):
    with open(host.path(f"/run/libvirt/qemu/{vm.name}.pid"), encoding="ascii") as file:
        return file.read().strip()


def start_libvirtd_again(host):
    host.daemon("libvirtd", host.daemons["libvirtd"].argv)
    libvirt.wait_ready(host)


def survives_restarts(lab, watch):
    host, stays, goes = lab["hv1"], Bare(3), Bare(4)
    for vm in (stays, goes):
        vm.start(host)
        watch.next(what="domain", vm=vm.uuid, state="running")
    host.virsh("suspend", stays.name)
    watch.next(what="domain", vm=stays.uuid, state="paused")

    for crash in (False, True):
        libvirt.stop(host, crash=crash)
        lost = watch.next(what="connected", connected=False)
        print(f"libvirtd {'crashed' if crash else 'stopped'}: {lost['reason']}")
        if crash:
            host.run(["kill", "-KILL", libvirtd_pid_of(host, goes)])
        start_libvirtd_again(host)
        lines = listed(watch)
        states = {line["vm"]: line["state"] for line in lines if line["what"] == "domain"}
        wanted = {stays.uuid: "paused", goes.uuid: "stopped" if crash else "running"}
        check(states == wanted, f"after the restart: {states}, not {wanted}")

    # A raw event on the new connection.
    host.virsh("resume", stays.name)
    watch.next(what="qemu", vm=stays.uuid, event="RESUME")
    watch.next(what="domain", vm=stays.uuid, state="running")
    check(watch.ask("again") == 0, "a second watch after the first has ended")
    check([line["vm"] for line in listed(watch)] == [stays.uuid], "the new watch lists what is there")
    host.virsh("destroy", stays.name)
    watch.next(what="domain", vm=stays.uuid, state="stopped")


def notices_a_hung_libvirtd(lab, watch, tool):
    host = lab["hv1"]
    daemon = host.daemons["libvirtd"]
    other = Watch(host, tool)
    listed(other)
    daemon.signal(signal.SIGSTOP)
    try:
        check(other.ask(f"refresh {UNKNOWN}") == 0, "refresh does not block")
        seconds = other.close()  # while its call waits for the hung daemon
        print(f"libvirt_watch_free() with a call stuck in a hung libvirtd: {seconds:.2f} s")
        check(seconds < STOP_S + SLACK_S, f"libvirt_watch_free() took {seconds} s")
        seconds = Watch(host, tool).close()  # while it connects
        check(seconds < STOP_S + SLACK_S, f"libvirt_watch_free() took {seconds} s while connecting")
        lost = watch.next(what="connected", connected=False, timeout=KEEPALIVE_S + 15)
        print(f"hung libvirtd: {lost['reason']}")
    finally:
        daemon.signal(signal.SIGCONT)
    listed(watch)


def tells_a_hot_move(lab, watches, tool):
    vm = lab.guest_start("hv1")
    source, target = watches
    source.next(what="domain", vm=vm.uuid, state="running")
    source_start, target_start = source.seen, target.seen
    migration = lab.migration(vm, "hv1", "hv2", extra=["--bandwidth", "4"])
    target.next(what="domain", vm=vm.uuid, state="incoming")
    source.next(what="qemu", vm=vm.uuid, event="MIGRATION", status="active")

    # Who starts only now learns the same from the listing.
    for host, wanted in (("hv1", ("running", True)), ("hv2", ("incoming", False))):
        late = Watch(lab[host], tool)
        line, = listed(late)
        check((line["state"], line["migrating_out"]) == wanted, f"{host} in mid-move: {line}")
        late.close()
    check(migration.running(), "the move is still under way")
    lab[source.host.name].virsh("migrate-setspeed", vm.name, "1000")
    migration.wait()

    source.next(what="domain", vm=vm.uuid, state="stopped")
    target.next(what="domain", vm=vm.uuid, state="running")
    said = [line for line in source.lines[source_start:] if line["what"] == "qemu"]
    words = [word for word in names(said) if word != "MIGRATION_PASS"]
    check(words[:2] == ["setup", "active"] and words[-1] in ("completed", "SHUTDOWN"), f"the source said {words}")
    check("MIGRATION_PASS" in names(said), "passes are told")
    check(words.index("active") < words.index("STOP") < words.index("completed"), f"the source said {words}")
    said = names(line for line in target.lines[target_start:] if line["what"] == "qemu")
    check("RESUME" in said and said.index("active") < said.index("RESUME"), f"the destination said {said}")
    for watch, start in ((source, source_start), (target, target_start)):
        check_consistent(watch.lines[start:], vm.uuid)
    return vm


def tells_an_aborted_move(lab, watches, vm):
    """From hv2 to hv1, which it never reaches."""
    target, source = watches
    start = source.seen
    migration = lab.migration(vm, "hv2", "hv1", extra=["--bandwidth", "1"])
    target.next(what="domain", vm=vm.uuid, state="incoming")
    source.next(what="qemu", vm=vm.uuid, event="MIGRATION", status="active")
    migration.abort()
    check(migration.wait(check=False) is None, "the aborted move fails")
    target.next(what="domain", vm=vm.uuid, state="stopped")
    source.next(what="qemu", vm=vm.uuid, event="MIGRATION", status="cancelled")
    check(source.ask(f"refresh {vm.uuid}") == 0, "refresh")
    line = source.next(what="domain", vm=vm.uuid)
    check((line["state"], line["migrating_out"]) == ("running", False), f"it goes on at its host: {line}")
    check_consistent(source.lines[start:], vm.uuid)


def tells_the_move_of_a_paused_one(lab, watches, vm):
    """It arrives paused: no RESUME ends its coming in."""
    target, source = watches
    lab["hv2"].virsh("suspend", vm.name)
    source.next(what="domain", vm=vm.uuid, state="paused")
    start = target.seen
    migration = lab.migration(vm, "hv2", "hv1", extra=["--bandwidth", "40"])
    target.next(what="domain", vm=vm.uuid, state="incoming")
    migration.wait()
    target.next(what="domain", vm=vm.uuid, state="paused")
    source.next(what="domain", vm=vm.uuid, state="stopped")
    check("RESUME" not in names(target.lines[start:]), "nobody resumed it")
    lab["hv1"].virsh("resume", vm.name)
    target.next(what="domain", vm=vm.uuid, state="running")
    check_consistent(target.lines[start:], vm.uuid)


def unplugs_and_announces(lab, watch, vm):
    """On a guest that answers unplug requests."""
    host = watch.host
    tap = watch.lines[-1]["ports"][0]["tap"] if watch.lines[-1].get("ports") else "vnet0"
    host.run(["virsh", "-q", "-c", "qemu:///system", "attach-device", vm.name, "/dev/stdin"], input=NIC)
    line = watch.next(what="domain", vm=vm.uuid)
    check(len(line["ports"]) == 2, f"plugged: {line}")
    host.run(["virsh", "-q", "-c", "qemu:///system", "detach-device", vm.name, "/dev/stdin"], input=NIC)
    line = watch.next(what="domain", vm=vm.uuid)
    check(len(line["ports"]) == 1, f"unplugged: {line}")

    dump = host.daemon("tcpdump", ["tcpdump", "-n", "-l", "-e", "-i", tap, "-c", "2", "rarp"])
    dump.wait_output("listening on")
    check(watch.ask(f"announce {vm.uuid}") == 0, "announce")
    wait_until(lambda: not dump.running(), "two RARP frames", TIMEOUT_S)
    check(vm.mac in dump.output(), f"RARP of the guest: {dump.output()}")
    check(watch.ask(f"announce {UNKNOWN}") != 0, "announce of one unknown is refused")


def main(tool):
    started = time.monotonic()
    with Lab(systems.by_name("flood"), libvirtd=False) as lab, contextlib.ExitStack() as undo:
        source = Watch(lab["hv1"], tool)
        connects_when_libvirtd_comes(lab, source)
        target = Watch(lab["hv2"], tool)
        listed(target)
        for test in (tells_a_life, tells_in_order_and_soon, survives_restarts):
            test(lab, source)
            print(f"{test.__name__}: passed")
        vm = tells_a_hot_move(lab, (source, target), tool)
        print("tells_a_hot_move: passed")
        unplugs_and_announces(lab, target, vm)
        print("unplugs_and_announces: passed")
        for test in (tells_an_aborted_move, tells_the_move_of_a_paused_one):
            test(lab, (source, target), vm)
            print(f"{test.__name__}: passed")
        notices_a_hung_libvirtd(lab, source, tool)
        print("notices_a_hung_libvirtd: passed")
        for watch in (source, target):
            check(watch.close() < STOP_S, "an idle watch is released at once")
        undo.close()
    print(f"all passed in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: needs root")
        sys.exit(SKIP)
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(os.path.abspath(sys.argv[1])))
    except (AssertionError, LabError) as error:
        sys.exit(f"FAILED: {type(error).__name__}: {error}")
