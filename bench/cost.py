# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/move --cost: what an armed old NVE costs per packet to the guest during pre-copy.

The guest migrates at 1 MiB/s, so that pre-copy lasts, and the migration is called off after the window that is
measured. In turn the destination's agent is there, asks, and the old NVE arms; or it is not there, and nothing is
armed. All else is the same: the guest, its QEMU, the load, the migration.

A packet's way from the peer's sender to the guest's tap is walked in the sender's own system call (veth, VXLAN and
bridge run in the soft interrupt that ends it) or in ksoftirqd, and that is where a copy of it would be made. So the CPU
time of a packet is that of the sender, of ksoftirqd and of the source's agent, all to the nanosecond (schedstat,
proc(5)). The machine's soft interrupts, as the timer tick samples them (/proc/stat), are shown beside it; they are
partly the same time.
"""

import json
import os
import time
from statistics import median

from lab import wait_until

from . import ledger, owner, table
from . import options as command_line
from .cells import cell_of
from .measure import Load, open_stream
from .progress import Progress
from .ratio import ratio, text
from .room import Room

SLICES, SLICE_S = 16, 0.5  # of a window, which counts as the median of its slices: other work comes in bursts
SLOW = ("--bandwidth", "1")  # MiB/s
MOVE_S = 14
STATE_TIMEOUT_S, SETTLE_TIMEOUT_S = 30, 45
TICK_NS = 10 ** 9 // os.sysconf("SC_CLK_TCK")
SOFTIRQ = 7  # column of /proc/stat
CASES = ("armed", "not armed")
PARTS = ("sender", "ksoftirqd", "agent")


def _run_ns(pid):
    """CPU time of all threads of PID."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def _ksoftirqds():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().startswith("ksoftirqd/"):
                    found.append(int(pid))
        except FileNotFoundError:
            pass
    return found


def _softirq_ns():
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[SOFTIRQ]) * TICK_NS


class _Clock:
    """CPU times so far."""

    def __init__(self, sender, agent):
        self._pids = {"sender": [sender], "ksoftirqd": _ksoftirqds(), "agent": [agent]}

    def read(self):
        return {**{part: sum(map(_run_ns, pids)) for part, pids in self._pids.items()}, "softirq": _softirq_ns()}


def _slice(stream, clock, pps):
    """CPU nanoseconds per packet by part; `ns`: of all."""
    before, began = clock.read(), time.monotonic()
    stream.run_for(SLICE_S)
    after, packets = clock.read(), (time.monotonic() - began) * pps
    found = {part: (after[part] - before[part]) / packets for part in before}
    return {**found, "ns": sum(found[part] for part in PARTS)}


def _wait_settled(room):
    wait_until(lambda: not owner.amiss(room, room.home), "end of the called-off migration", SETTLE_TIMEOUT_S, poll=0.2)


def _wait_precopy(room, migration, armed):
    """Pre-copy runs, and the old NVE is as this case wants it."""
    def state():
        return [port["state"] for port in ledger.ports(room.lab, room.home, room.guest.mac)]
    wanted = ["armed"] if armed else ["leaving"]
    wait_until(lambda: state() == wanted or not migration.running(), f"old NVE {wanted[0]}", STATE_TIMEOUT_S, poll=0.1)
    if not migration.running():
        migration.wait()


def _window(room, load, armed):
    """CPU nanoseconds per packet by part, over one window."""
    migration = room.lab.migration(room.guest, room.home, room.other(), extra=SLOW)
    try:
        _wait_precopy(room, migration, armed)
        with open_stream(room, load) as stream:
            clock = _Clock(stream.pid, room.home.daemons["nveagent"].pid)
            stream.run_for(1)
            slices = [_slice(stream, clock, load.pps) for _ in range(SLICES)]
            if not migration.running():
                migration.wait()
            report = stream.finish()
    finally:
        if migration.running():
            migration.abort()
    migration.wait(check=False)
    return {**{part: median(each[part] for each in slices) for part in slices[0]}, "lost": report["down"]["lost"],
            "sent": report["down"]["sent"]}


def measure(room, load, case):
    """One window of CASE; leaves the room as it was."""
    other, system = room.other(), room.lab.system
    room.widen()
    if case == "not armed":
        other.daemons["nveagent"].stop()
    try:
        figures = _window(room, load, case == "armed")
    finally:
        if case == "not armed":
            system.start_agent(room.lab, other).wait_output("ready", STATE_TIMEOUT_S)
    _wait_settled(room)
    return {key: round(value, 1) for key, value in figures.items()}


class Costs:
    """A run; .results: an object per cell."""

    def __init__(self, options, say):
        self._options, self._say, self.results = options, say, []

    def run(self):
        options = self._options
        loads = command_line.loads(options)
        windows = 2 * options.moves * len(loads) * len(options.underlay)
        progress = Progress(self._say, windows, len(options.underlay), MOVE_S)
        for underlay in options.underlay:
            with Room("rehome", underlay, options.build, self._say, keep_logs=options.keep_logs,
                      guest_ring=options.guest_ring) as room:
                for load in loads:
                    self._run_cell(room, load, progress)

    def _run_cell(self, room, load, progress):
        # One way only: what the guest sends is not what is armed for.
        load = Load(load.pps, load.pps_from_guest or 0, load.family, load.frame_size, peer_on=load.peer_on,
                    guest_ring=load.guest_ring)
        found = {case: [] for case in CASES}
        for number in range(self._options.moves):
            for case in CASES if number % 2 == 0 else reversed(CASES):
                found[case].append(measure(room, load, case))
                progress.moved()
                self._tell(room, case, found[case][-1])
        cell = cell_of("rehome", room.underlay, load)
        self.results.append({**cell, "moves": self._options.moves, "ns_per_packet": {
            case: {part: round(median(window[part] for window in windows), 1)
                   for part in ("ns", *PARTS, "softirq")} for case, windows in found.items()},
            "ratio": ratio(*([window["ns"] for window in found[case]] for case in CASES))})
        progress.tell(f"underlay IPv{room.underlay}, guest IPv{load.family}, {load.pps} packets/s")

    def _tell(self, room, case, window):
        if self._options.json:
            print(json.dumps({"case": case, **window}), flush=True)
        room.lab.say(f"{case}: {window['ns']:.0f} ns of CPU per packet: " + ", ".join(
            f"{part} {window[part]:.0f}" for part in PARTS) + f"; soft interrupts {window['softirq']:.0f}; "
            f"lost {window['lost']:.0f} of {window['sent']:.0f}")


def lines(results, as_markdown):
    """The end of the output."""
    header = [title for title, _ in table.WHERE[1:]] + ["windows of each"]
    for case in CASES:
        header += [f"{case}: ns per packet (sender, ksoftirqd, agent)"]
    header += ["armed / not armed (95 %)"]
    rows = []
    for result in results:
        rows.append([show(result) for _, show in table.WHERE[1:]] + [str(result["moves"])])
        for case in CASES:
            ns = result["ns_per_packet"][case]
            rows[-1].append(f"{ns['ns']:.0f} ({', '.join(f'{ns[part]:.0f}' for part in PARTS)})")
        rows[-1].append(text(result["ratio"]))
    return [table.of_rows(header, rows, as_markdown)]
