# SPDX-License-Identifier: LGPL-2.1-or-later
"""One move under load, as a record of figures.

The stream runs a second (Load.before_s) before the move and a second after the last NVE has the guest's new place. All
times are of one clock (one machine): QEMU's events, the kernel's FDB notices, the agents' ledgers.
"""

import contextlib
import time
from dataclasses import dataclass, field

from lab import LabError, TimedOut, wait_until

from . import drops, ledger, leftovers, questions, tcp
from .events import require_one
from .stream import Stream, artefacts

FRAME_MIN = 64  # Ethernet without FCS
SIDE_S = 1.0  # how long the stream runs at least before and after a move
MIGRATION_TIMEOUT_S = 120
CONVERGE_TIMEOUT_S = 10  # FRR takes 60 ms; what takes this long is not converged
SETTLE_TIMEOUT_S = 10  # for the traces of a move to go, once the system says that it is over


@dataclass
class Load:
    """What streams while the guest moves."""
    pps: int = 1000
    pps_from_guest: int = None  # None: as pps
    family: int = 4
    frame_size: int = 64
    tcp: bool = False
    postcopy: bool = False
    peer_on: str = "peer"
    max_downtime_ms: int = None  # None: QEMU's own, 300
    extra: tuple = ()  # words for `virsh migrate`
    way: str = "p2p"  # of lab.guest.WAYS
    during: object = None  # called once the migration has begun
    guest_ring: bool = False  # the agents may ask QEMU for the guest's receive ring: as the Room was made
    before_s: float = SIDE_S  # how long it streams before the migration begins
    questions: bool = False  # tenants ask by ARP and ND before and after, and what is flooded is counted


@dataclass
class Move:
    """What was seen of one move; record() has the figures."""
    source: object
    target: object
    load: Load
    began_us: int
    seconds: float = 0.0
    early_drops: int = 0  # by the tap's full queue before STOP: the guest was too slow
    drops: dict = field(default_factory=dict)  # drops.grown()
    stop: object = None  # events.Event
    resume: object = None
    tracks: dict = field(default_factory=dict)  # NVE name: its fdb.Track
    report: dict = None
    ledger: list = field(default_factory=list)
    leftover: list = field(default_factory=list)
    tcp: dict = None  # what became of the kernels' TCP counters, {"peer": {...}, "guest": {...}}
    flooded: dict = field(default_factory=dict)  # questions.Flooded.counts

    @property
    def downtime_ms(self):
        return (self.resume.at_us - self.stop.at_us) / 1000

    def converged(self):
        """Milliseconds from RESUME until each other NVE sent frames to the target; None: it does not."""
        return {name: None if at_us is None else max(0.0, (at_us - self.resume.at_us) / 1000)
                for name, at_us in self.settled_us().items()}

    def settled_us(self):
        """Since when each other NVE has sent frames to the target; None: it does not."""
        return {name: track.settled_us(self.target.vtep) for name, track in self.tracks.items()
                if name != self.target.name}


def _wait_converged(move):
    try:
        wait_until(lambda: None not in move.settled_us().values(), "new place in all FDBs", CONVERGE_TIMEOUT_S,
                   poll=0.05)
    except TimedOut:
        pass  # said in the record


def start_migration(room, source, target, load):
    """A lab.Migration as LOAD asks for."""
    if load.max_downtime_ms is not None:
        source.virsh("migrate-setmaxdowntime", room.guest.name, str(load.max_downtime_ms))
    return room.lab.migration(room.guest, source, target, postcopy=load.postcopy, extra=load.extra, way=load.way)


def _migrate(room, move, stops, skip):
    """Moves the guest; what its tap dropped before STOP."""
    before = room.tap_drops()
    migration = start_migration(room, move.source, move.target, move.load)
    if move.load.during:
        move.load.during()
    wait_until(lambda: stops.first("STOP", skip) or not migration.running(), "STOP", MIGRATION_TIMEOUT_S, poll=0.002)
    move.early_drops = max(0, room.tap_drops() - before)
    move.seconds = migration.wait()


def _watch(room, move):
    """Migrates; fills in the times."""
    guest = room.guest
    stops, resumes = room.events[move.source.name], room.events[move.target.name]
    skip_stops, skip_resumes = stops.count(), resumes.count()
    move.tracks = {name: watch.begin(guest.mac) for name, watch in room.fdbs.items()}
    _migrate(room, move, stops, skip_stops)
    room.home = move.target
    resumes.wait("RESUME", skip_resumes)
    move.stop = require_one(stops, "STOP", skip_stops)
    move.resume = require_one(resumes, "RESUME", skip_resumes)
    _wait_converged(move)


def _settle(room, move):
    """Waits until the system says the move is over and its traces are gone; what does not go is left over."""
    if room.system == "rehome":
        move.ledger = ledger.wait_over(room.lab, move.began_us)

    def left():
        return leftovers.compare(room.baseline, leftovers.snapshot(room.lab, room.homes()))
    try:
        wait_until(lambda: not left(), "end of the move's traces", SETTLE_TIMEOUT_S, poll=0.2)
    except TimedOut:
        move.leftover = left()


def _tcp_counters(room, load):
    return tcp.counters(room.tenant(load.peer_on), room.address(load.family)) if load.tcp else {}


def open_stream(room, load):
    """A Stream as LOAD asks for."""
    return Stream(room.lab, room.tenant(load.peer_on), room.probe, room.address(load.family), load.pps,
                  load.frame_size, load.tcp, load.pps_from_guest)


def _stream_and_watch(room, move):
    before = _tcp_counters(room, move.load)
    dropped = drops.counters(room, move.load)
    with open_stream(room, move.load) as stream:
        stream.run_for(move.load.before_s)
        _watch(room, move)
        stream.run_for(SIDE_S)
        move.report = stream.finish()
    move.drops = drops.grown(dropped, drops.counters(room, move.load))
    move.tcp = tcp.difference(before, _tcp_counters(room, move.load))


@contextlib.contextmanager
def _asked(room, move):
    """Tenants ask before and after the block, and what is flooded is counted, if the load wants that."""
    if not move.load.questions:
        yield
        return
    questions.introduce(room)
    with questions.Flooded(room) as flooded:
        questions.ask_around(room)
        yield
        questions.ask_around(room)
    move.flooded = flooded.counts


def measure(room, load):
    """Moves the guest to the other hypervisor under LOAD; a Move."""
    move = Move(room.home, room.other(), load, began_us=time.time_ns() // 1000)
    room.widen()
    try:
        with _asked(room, move):
            _stream_and_watch(room, move)
    except LabError as error:
        raise LabError(f"{error}\n{room.console()}") from None
    _settle(room, move)
    return move


class Held:
    """A TCP connection held over several moves; .result after the end."""

    result = None


@contextlib.contextmanager
def hold_tcp(room, family, peer_on="peer"):
    """Context, a Held: 64 bytes are echoed over one TCP connection every 2 ms, beside one UDP packet per second."""
    held = Held()
    with Stream(room.lab, room.tenant(peer_on), room.probe, room.address(family), 1, FRAME_MIN, tcp=True) as stream:
        yield held
        echo = stream.finish()["tcp"]
    held.result = {key: echo[key] for key in ("alive", "echoes", "longest_stall_ms", "retransmissions", "timeouts")}


def _rounded(value):
    return None if value is None else round(value, 3)


def _direction(stream, suffix, gap_ms):
    return {**{name + suffix: stream[name] for name in ("sent", "lost", "duplicated", "reordered")},
            f"longest_gap{suffix}_ms": gap_ms}


def _tcp(move):
    """Of the connection of this move alone, and of the two kernels."""
    echo = move.report["tcp"]
    return {"longest_stall_ms": echo["longest_stall_ms"],
            "stall_beyond_downtime_ms": _rounded(echo["longest_stall_ms"] - move.downtime_ms),
            "stall_beyond_silence_ms": _rounded(echo["longest_stall_ms"] - move.report["up"]["longest_gap_ms"]),
            "retransmissions": echo["retransmissions"], "timeouts": echo["timeouts"], "tcp_alive": echo["alive"],
            **{f"{key}_{end}": value for end, counters in (move.tcp or {}).items()
               for key, value in counters.items()}}


def _numbers(stream):
    """Which packets, by number: to see where in a move something happened."""
    silence = max(stream["events"], key=lambda event: event["ms"], default={})
    return {"last_before_silence": silence.get("after_seq"), "lost_ranges": stream["lost_ranges"],
            "duplicated_list": stream["duplicated_list"], "reordered_list": stream["reordered_list"]}


def record(room, move):
    """The figures of MOVE as a JSON object; docs: bench/move --help."""
    load, report, converged = move.load, move.report, move.converged()
    to_guest, from_guest = artefacts(report, move.downtime_ms)
    return {
        "system": room.system, "pps": load.pps, "pps_from_guest": report["up_pps"], "family": load.family,
        "underlay": room.underlay, "frame_size": report["frame_size"], "postcopy": load.postcopy,
        "peer_on": load.peer_on, "direction": f"{move.source.name}->{move.target.name}",
        **_direction(report["down"], "", report["down"]["host"]["longest_gap_ms"]),
        **_direction(report["up"], "_from_guest", report["up"]["longest_gap_ms"]),
        **_numbers(report["down"]),
        "lost_early": min(move.early_drops, report["down"]["lost"]),
        "guest_downtime_ms": _rounded(move.downtime_ms),
        "converged_ms": None if None in converged.values() else _rounded(max(converged.values())),
        "converged_each_ms": {name: _rounded(value) for name, value in converged.items()},
        "leftovers": len(move.leftover), "leftover_items": move.leftover,
        "migration_s": round(move.seconds, 3), "machine_drops": report["up"]["backlog_drops"],
        "drops": move.drops,
        "invalid": to_guest, "invalid_from_guest": from_guest,
        **ledger.figures(move.ledger), **(_tcp(move) if load.tcp else {}), **move.flooded,
    }
