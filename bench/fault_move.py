# SPDX-License-Identifier: LGPL-2.1-or-later
"""One move into which a fault is made: what became of the guest, of the packets, of who owns it, and what is left.

The stream runs from a second before the move to a second after everybody agrees who has the guest, or has had time to.
"""

import math
import time
from dataclasses import dataclass, field

from lab import LabError, TimedOut, wait_until

from . import ledger, leftovers, owner
from .events import Event
from .faults import FAULTS
from .measure import MIGRATION_TIMEOUT_S, SETTLE_TIMEOUT_S, SIDE_S, open_stream, start_migration
from .stream import artefacts

AIM_TIMEOUT_S = 60
RUN_TIMEOUT_S = 20  # for the guest to run somewhere, and nowhere else
AGREE_TIMEOUT_S = 45  # beyond the agents' forward timeout of 30 s
DOUBLED_MAX = 2  # what QEMU swallowed is sent again, at least once (docs/decisions/0005)


@dataclass
class FaultMove:
    """What was seen. Times are microseconds of CLOCK_REALTIME."""
    name: str
    source: object
    target: object
    load: object
    began_us: int
    fault: object = None
    stop_us: int = None
    resume_us: int = None  # the first RESUME anywhere after STOP
    resumed_on: str = None
    migration: str = ""  # how it ended
    home: object = None  # the host where the guest runs afterwards; None: lost
    states: dict = field(default_factory=dict)  # else: what libvirt says
    agreed_us: int = None  # when all agreed who has it, to a poll
    amiss: list = field(default_factory=list)
    leftover: list = field(default_factory=list)
    report: dict = None
    no_report: str = None
    ledger: list = field(default_factory=list)


class _Watch:
    """The events of both QEMUs since its making."""

    def __init__(self, room):
        self._events = room.events
        self._skip = {name: events.count() for name, events in room.events.items()}

    def wait(self, host, name, data="", timeout=MIGRATION_TIMEOUT_S):
        return self._events[host.name].wait(name, self._skip[host.name], timeout, data)

    def first(self, host, name, data=""):
        return self._events[host.name].first(name, self._skip[host.name], data)

    def resumes(self, since_us):
        """[(at_us, host name)] of RESUMEs, oldest first."""
        return sorted((event.at_us, name) for name, events in self._events.items()
                      for event in events.all()[self._skip[name]:]
                      if event.name == "RESUME" and event.at_us >= since_us)


def _fire(move, watch, migration):
    """Waits for the moments and lets the fault happen."""
    fault = move.fault
    wait_until(lambda: watch.first(move.target, "MIGRATION", '"active"') or not migration.running(),
               "incoming migration", AIM_TIMEOUT_S, poll=0.002)
    fault.aim()
    event = wait_until(lambda: watch.first(move.source, fault.event, fault.data) or not migration.running(),
                       f"{fault.event} of the source's QEMU", MIGRATION_TIMEOUT_S, poll=0.0005)
    if not isinstance(event, Event):
        migration.wait()  # says why
        raise LabError(f"{move.name}: the migration ended before {fault.event} {fault.data}")
    fault.fired_us = time.time_ns() // 1000
    fault.fire()
    fault.finish()
    fault.over_us = time.time_ns() // 1000
    move.stop_us = watch.wait(move.source, "STOP").at_us


def _migrate(room, move):
    """Migrates with the fault, to the end of the migration."""
    watch = _Watch(room)
    migration = start_migration(room, move.source, move.target, move.load)
    try:
        _fire(move, watch, migration)
        try:
            move.migration = f"done in {migration.wait():.2f} s"
        except LabError as error:
            if isinstance(error, TimedOut):
                raise
            move.migration = "failed: " + str(error).splitlines()[0].partition(": error: ")[2]
    finally:
        move.fault.close()
        if migration.running():
            migration.abort()
    return watch


def _await_guest(room, move, watch):
    """Where the guest runs in the end."""
    try:
        wait_until(lambda: owner.running_on(room) and watch.resumes(move.stop_us), "running guest", RUN_TIMEOUT_S,
                   poll=0.1)
    except TimedOut:
        pass
    move.home, move.states = owner.running_on(room), owner.states(room)
    resumes = watch.resumes(move.stop_us)
    if resumes:
        move.resume_us, move.resumed_on = resumes[0]


def _await_owner(room, move):
    """Until nothing is amiss with the guest's one owner, and nothing is left."""
    room.home = move.home
    try:
        wait_until(lambda: not owner.amiss(room, move.home), "agreement on the owner", AGREE_TIMEOUT_S, poll=0.1)
        move.agreed_us = time.time_ns() // 1000
    except TimedOut:
        move.amiss = owner.amiss(room, move.home)


def _await_traces(room, move):
    def left():
        return leftovers.compare(room.baseline, leftovers.snapshot(room.lab, [(room.guest, move.home)]))
    try:
        wait_until(lambda: not left(), "end of the move's traces", SETTLE_TIMEOUT_S, poll=0.2)
    except TimedOut:
        move.leftover = left()


def measure(room, load, name):
    """Moves the guest to the other hypervisor under LOAD, with the fault NAME; a FaultMove."""
    move = FaultMove(name, room.home, room.other(), load, began_us=time.time_ns() // 1000)
    move.fault = FAULTS[name](room, move.source, move.target)
    room.widen()
    with open_stream(room, load) as stream:
        stream.run_for(SIDE_S)
        _await_guest(room, move, _migrate(room, move))
        if move.home:
            _await_owner(room, move)
        stream.run_for(SIDE_S)
        try:
            move.report = stream.finish()
        except LabError as error:
            move.no_report = str(error).splitlines()[0]
    if move.home:
        _await_traces(room, move)
    if room.system == "rehome":
        move.ledger = ledger.moves(room.lab, move.began_us)
    return move


def _guest(move):
    """Where it is, in one word or two."""
    if not move.home:
        return "lost: " + (", ".join(f"{state} on {name}" for name, state in move.states.items()) or "nowhere")
    if move.report is None:
        return "mute"
    return "at the source" if move.home is move.source else "at the destination"


def bound(move):
    """How many packets to the guest may be lost."""
    return math.ceil(move.load.pps * move.fault.bound_ms(move) / 1000) + move.fault.bound_more


def _counts(move):
    """What the stream says; None where it could not end."""
    names = ("sent", "lost", "duplicated", "reordered")
    down, up = (move.report["down"], move.report["up"]) if move.report else ({}, {})
    host = down.get("host", {})
    return {**{name: down.get(name) for name in names}, **{f"{name}_from_guest": up.get(name) for name in names},
            "longest_gap_ms": host.get("longest_gap_ms"), "longest_gap_from_guest_ms": up.get("longest_gap_ms")}


def wrong(move):
    """What should not be, as texts."""
    found = []
    if not move.home:
        found.append(f"the guest is {_guest(move)}")
    if move.no_report:
        found.append(f"the guest does not answer: {move.no_report}")
    if move.report:
        down, up, most = move.report["down"], move.report["up"], bound(move)
        if down["lost"] > most:
            found.append(f"lost {down['lost']} to the guest, the bound is {most}")
        if up["lost"] > most:
            found.append(f"lost {up['lost']} from the guest, the bound is {most}")
        if down["duplicated"] > DOUBLED_MAX or up["duplicated"]:
            found.append(f"doubled {down['duplicated']} to the guest, {up['duplicated']} from it")
        if down["reordered"] or up["reordered"]:
            found.append(f"reordered {down['reordered']} to the guest, {up['reordered']} from it")
    return found + move.amiss + [f"left over: {item}" for item in move.leftover]


def record(room, move):
    """The figures of MOVE as a JSON object; docs: bench/move --help."""
    load, fault = move.load, move.fault
    invalid = artefacts(move.report, 0)[0] if move.report else []
    return {
        "fault": move.name, "system": room.system, "pps": load.pps, "family": load.family, "underlay": room.underlay,
        "frame_size": move.report["frame_size"] if move.report else load.frame_size, "postcopy": load.postcopy,
        "peer_on": load.peer_on, "direction": f"{move.source.name}->{move.target.name}",
        "done": fault.said, "fired_ms": (fault.fired_us - move.stop_us) / 1000, "migration": move.migration,
        "guest": _guest(move), "home": move.home.name if move.home else None,
        "guest_downtime_ms": (move.resume_us - move.stop_us) / 1000 if move.resume_us else None,
        **_counts(move), "bound": fault.bound, "bound_packets": bound(move),
        "agreed_ms": (move.agreed_us - fault.fired_us) / 1000 if move.agreed_us else None,
        "amiss": move.amiss, "leftovers": len(move.leftover), "leftover_items": move.leftover, "invalid": invalid,
        "wrong": wrong(move), "ledger": [{"host": host.name, **told} for host, told in move.ledger],
    }
