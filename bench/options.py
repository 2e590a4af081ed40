# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line of bench/move."""

import argparse

from .faults import FAULTS
from .measure import Load
from .programs import DEFAULT
from .room import NAMES, PEERS

FRAME_MIN, FRAME_MAX = 64, 1514  # Ethernet without FCS; the lab's overlay has an MTU of 1500
FRAME_MIN_IPV6 = 84  # the least that holds the probe's header; see `probe run --help`
COST_PPS = 10000
PPS_MAX = 100000  # far above what an emulated guest takes

_DESCRIPTION = """\
Moves a guest to and fro between two hypervisors while packets stream to it and from it, and counts exactly
what each move costs. Real libvirt, QEMU and kernel VXLAN, in namespaces of this machine; as root, after
tests/lab/setup."""

_EPILOG = """\
--system, --pps, --family, --underlay and --frame-size may be repeated; each combination is a cell, with --moves
moves, there and back in turn.

One JSON object per move (--json):
  system pps family underlay frame_size postcopy peer_on direction
  sent lost duplicated reordered              to the guest, by sequence numbers at both ends
  lost_early           those of lost that the guest's full tap queue dropped before STOP: it was too slow, the move
                       is not to blame
  lost_ranges duplicated_list reordered_list last_before_silence    which ones, by number, and the last one that
                       arrived before the longest silence in the guest
  sent_from_guest lost_from_guest ...         the same from the guest
  longest_gap_ms, longest_gap_from_guest_ms   longest silence: in what the guest had received, as it reported;
                                              in what came from it (both by the peer's clock)
  guest_downtime_ms    from the source QEMU's STOP to the destination QEMU's RESUME, by the timestamps that
                       QEMU gives these events (`virsh qemu-monitor-event` on both hosts)
  converged_ms         from RESUME until the last other NVE sent frames for the guest's MAC to the new host and
                       went on doing so (kernel notices, `bridge monitor fdb`); null: not in 10 s
  converged_each_ms    the same for each NVE
  leftovers            links, queues, filters, nft rules and FDB entries that differ from before the first move
                       once the move is over; leftover_items names them
  stop_heard_us switch_us     from QEMU's STOP until the old NVE's agent heard of it, and from there until the bridge
                       entry for the way to the new NVE was installed (the agent's ledger; rehome only)
  pulled swallowed doubtful dropped_by_agent   packets: read back from the tap's queue; that QEMU certainly, perhaps
                       threw away and were sent again; that found no room (the same ledger)
  trouble              why the tap's queue, or what QEMU threw away, may not have been read as a whole; null: none
  not_exact            with --guest-ring: why the guest's ring did not tell what QEMU threw away; null: it did
  longest_stall_ms retransmissions timeouts tcp_alive   with --tcp: 64 bytes echoed every 2 ms over a connection of this
                       move's own (TCP_INFO at the peer); a blackout of more than 200 ms, the least timeout of
                       Linux, cannot but have one: see --max-downtime
  stall_beyond_downtime_ms    longest_stall_ms - guest_downtime_ms
  stall_beyond_silence_ms     longest_stall_ms - longest_gap_from_guest_ms: an emulated guest is slow after RESUME (its
                       QEMU has translated nothing yet), and then sends no UDP either
  retransmissions_peer timeouts_peer retransmissions_guest timeouts_guest   of each end's kernel, all its connections
                       (RetransSegs, TCPTimeouts): with --tcp there is one more, held through all moves of the cell
  flooded_arp flooded_ns flooded_other   with --questions: copies of ARP requests, of NS to solicited-node groups and
                       of all else that NVEs sent one another because the inner destination is a group (VXLAN on the
                       underlay), from before the stream until after it: all tenants forget their neighbours and ask
                       anew, both times
  machine_drops        packets that the whole machine meanwhile dropped from full backlogs (/proc/net/softnet_stat):
                       not 0 on a machine that does other things; then a loss may be of the lab's making
  drops                which counters of dropped or erroneous packets grew meanwhile, of any device or queue of the lab,
                       and of the guest; a lane's, which is gone by then, are in dropped_by_agent
  invalid, invalid_from_guest   why this move's counts are the lab's fault (a full socket buffer, a rate that was
                       not held); such counts are left out of the summary
The last object has "summary": true, and a cell each with totals, medians and maxima; downtime_packets is what the
downtimes alone would cost (packets/s x downtime). With --tcp, tcp_held is what became of one more connection, held
through all moves of the cell. stop_heard_us and switch_us have percentiles over all moves of the run.

--fault: the fault is made at an event of QEMU (STOP, or the one its name says), never by time. A move's object has
  fault done           what was done, and how many ms after the fault's first deed
  fired_ms             from STOP
  migration            how it ended
  guest home           where it is afterwards: at the source, at the destination, lost, mute
  bound bound_packets  how many packets to the guest may be lost, and why
  agreed_ms            from the fault until libvirt, every agent's directory and every kernel's FDB agreed on the one
                       host that has the guest; null: they did not (amiss says what)
  wrong                what should not be, as texts
and sent, lost, ... as above. A lab in which something was wrong is replaced by a new one, its logs stay.

Exit status: 0 measured; 1 a cell failed; 2 usage; 3 with --fault: in some move something was wrong."""


def number(least, most):
    """An argparse type: a whole number from LEAST to MOST."""
    def parse(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value
    parse.__name__ = "number"
    return parse


def parser():
    """The ArgumentParser."""
    top = argparse.ArgumentParser(prog="bench/move", description=_DESCRIPTION, epilog=_EPILOG,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    add = top.add_argument
    add("--system", action="append", choices=[*NAMES, "all"], help="what keeps the guest reachable (default: rehome)")
    add("--moves", type=number(1, 100000), default=2, metavar="N", help="moves per cell (default: 2)")
    add("--peer-moves", type=number(1, 100000), metavar="N",
        help="moves per cell of flood and frr-evpn (default: as --moves)")
    add("--pps", type=number(1, PPS_MAX), action="append", metavar="P",
        help="packets per second in each direction (default: 1000)")
    add("--pps-from-guest", type=number(0, PPS_MAX), metavar="M",
        help="packets per second from the guest, for rates an emulated guest cannot hold both ways (default: as --pps)")
    add("--family", type=int, choices=(4, 6), action="append", help="of the guest's address (default: both)")
    add("--underlay", type=int, choices=(4, 6), action="append", help="family of the VTEPs (default: both)")
    add("--frame-size", type=number(FRAME_MIN, FRAME_MAX), action="append", metavar="B",
        help=f"bytes of each Ethernet frame without FCS (default: 64; on IPv6 at least {FRAME_MIN_IPV6})")
    add("--tcp", action="store_true", help="also hold a TCP connection")
    add("--questions", action="store_true",
        help="also let all tenants ask by ARP and ND before and after, and count what is flooded over VXLAN")
    add("--max-downtime", type=number(1, 10000), metavar="MS",
        help="tell QEMU to stop the guest only when the rest will take less (virsh migrate-setmaxdowntime; "
             "default: QEMU's, 300)")
    add("--guest-ring", action="store_true",
        help="rehome's agents ask QEMU through libvirt for the guest's receive ring (guest-ring = yes)")
    add("--postcopy", action="store_true", help="let the guest run at the destination after the first pass")
    add("--peer-on", choices=sorted(PEERS), default="peer",
        help="who streams: a tenant on the third host, or one on hv1, where the first move starts (default: peer)")
    mode = top.add_mutually_exclusive_group()
    mode.add_argument("--fault", action="append", choices=[*FAULTS, "all"], metavar="NAME",
                      help="let that go wrong in each move; may be repeated; all: each. " + ", ".join(FAULTS))
    mode.add_argument("--pair", action="store_true",
                      help="guest downtime with rehome and without, in turn; --moves of each")
    mode.add_argument("--cost", action="store_true",
                      help="CPU time per packet during pre-copy with the old NVE armed and not, in turn; --moves of "
                           "each")
    add("--resume", metavar="FILE",
        help="keep each move's record in FILE, and make only the moves that it does not have yet")
    add("--json", action="store_true", help="print JSON lines; the table goes to stderr")
    add("--table", action="store_true", help="print the table as Markdown")
    add("--build", default=DEFAULT, metavar="DIR", help="build directory, made if there is none (default: build)")
    add("--keep-logs", action="store_true", help="leave the lab's directories with the logs behind")
    return top


def parse(argv=None):
    """The options with defaults filled in."""
    top = parser()
    options = top.parse_args(argv)
    if options.system and (options.pair or options.cost):
        top.error("--pair and --cost say themselves which systems they are of")
    if options.resume and options.cost:
        top.error("--cost has nothing to resume")
    systems = options.system or ["rehome"]
    options.system = list(NAMES) if "all" in systems else list(dict.fromkeys(systems))
    if options.pair or options.cost:
        options.system = ["rehome", "flood"] if options.pair else ["rehome"]
    options.fault = list(FAULTS) if "all" in (options.fault or []) else options.fault
    options.peer_moves = options.peer_moves or options.moves
    options.pps = options.pps or [COST_PPS if options.cost else 1000]
    options.family = options.family or [4, 6]
    options.underlay = options.underlay or [4, 6]
    options.frame_size = options.frame_size or [FRAME_MIN]
    return options


def loads(options):
    """A Load per cell of one system and underlay."""
    sizes = {4: options.frame_size, 6: dict.fromkeys(max(size, FRAME_MIN_IPV6) for size in options.frame_size)}
    return [Load(pps, options.pps_from_guest, family, size, options.tcp, options.postcopy, options.peer_on,
                 options.max_downtime, guest_ring=options.guest_ring, questions=options.questions)
            for family in options.family for pps in options.pps for size in sizes[family]]
