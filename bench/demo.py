#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""migration-scripts/demo: a real guest moves to another host and back under load, and what became of the packets."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from bench import ROOT, account, ledger, programs  # noqa: E402
from bench.measure import Load, hold_tcp, measure  # noqa: E402
from bench.options import PPS_MAX, number  # noqa: E402
from bench.room import NAMES, Room  # noqa: E402
from lab import LabError, Unsupported, guide  # noqa: E402

SETUP = os.path.join(ROOT, "tests/lab/setup")
BESIDE = "flood"  # what the number of flooded questions is compared with
EXIT_FAULT, EXIT_USAGE, EXIT_UNSUPPORTED, EXIT_INTERRUPTED = 1, 2, 77, 130

DESCRIPTION = """\
Installs what is missing from Debian, builds, makes two hypervisors with a libvirtd each, a peer and an NVA in
namespaces of this machine, boots a guest, streams numbered UDP packets to it and from it, holds a TCP connection,
moves the guest with `virsh migrate --live` there and back, and prints what happened. Then does the same once more with
a plain bridge and VXLAN, to show how many ARP requests and NS are flooded with it. Takes everything down again.
Needs root. Nothing leaves the machine but apt's downloads."""
EPILOG = """\
Exit status: 0 all went well; 1 packets were lost beyond the guest's own downtime, or something was left over, or a
step failed; 2 usage."""


class Steps:
    """Tells each step and the seconds since the start, on stderr."""

    def __init__(self):
        self._began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", file=sys.stderr, flush=True)

    def say_of_lab(self, text):
        """The lab has a clock of its own, in brackets."""
        self.say(text.partition("] ")[2] or text)


def parse():
    top = argparse.ArgumentParser(prog="migration-scripts/demo", description=DESCRIPTION, epilog=EPILOG,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    add = top.add_argument
    add("--pps", type=number(1, PPS_MAX), default=1000, metavar="P", help="packets per second each way (default: 1000)")
    add("--family", type=int, choices=(4, 6), default=4, help="of the guest's address (default: 4)")
    add("--underlay", type=int, choices=(4, 6), default=4, help="family of the hosts' addresses (default: 4)")
    add("--system", choices=sorted(NAMES), default="rehome",
        help="see the same without rehome: flood is a plain bridge and VXLAN, frr-evpn is FRR (default: rehome)")
    add("--no-compare", dest="compare", action="store_false", help="leave out the run with flood")
    add("--keep", action="store_true", help="leave the lab up until Ctrl-C, and say how to look around; no run with flood")
    add("--json", metavar="FILE", help="write the account there")
    add("--build", default=programs.DEFAULT, metavar="DIR", help="build directory, made if there is none")
    return top.parse_args()


def prepare(options, steps):
    """Packages and programs."""
    steps.say("setup: what is missing from Debian")
    if subprocess.run([SETUP], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode != 0:
        raise LabError(f"{SETUP} failed")
    options.build = programs.build(options.build, [options.system], steps.say)


def show(told, number_of_move):
    print("\n" + "\n".join(account.lines(told, number_of_move)), flush=True)


def load_of(options):
    return Load(options.pps, family=options.family, tcp=True, questions=True)


def moves(room, options, steps):
    """There and back; the accounts."""
    load = load_of(options)
    told = []
    for count in (1, 2):
        steps.say(f"move {count}: {room.home.name} to {room.other().name}, under load")
        told.append(account.as_object(room, measure(room, load)))
        show(told[-1], count)
    return told


def perform(room, options, steps):
    """Everything from the booted guest on: the account as an object."""
    steps.say("a TCP connection is opened that both moves must not break")
    with hold_tcp(room, options.family) as held:
        told = moves(room, options, steps)
    faults = [f"move {number}: {fault}" for number, move in enumerate(told, 1) for fault in account.faults(move)]
    if not held.result["alive"]:
        faults.append("the TCP connection held through both moves died")
    if options.system == "rehome":
        faults += ledger.disagreements(room.lab)
    return {"system": options.system, "moves": told, "tcp_held": held.result, "faults": faults}


def compare(whole, options, steps):
    """The same moves with flood; puts into WHOLE what was flooded with each."""
    flooded = {options.system: whole["moves"]}
    if options.compare and options.system != BESIDE:
        steps.say(f"the same with {BESIDE}, to see what it floods")
        with Room(BESIDE, options.underlay, options.build, steps.say_of_lab) as room:
            flooded[BESIDE] = [account.as_object(room, measure(room, load_of(options))) for _ in range(2)]
    whole["flooded"] = {system: dict(zip(("arp", "ns"), account.flooded(told))) for system, told in flooded.items()}
    print("\n" + account.comparison(flooded), flush=True)


def conclude(whole, options):
    """The last lines."""
    held = whole["tcp_held"]
    print(f"\nThe TCP connection held through both moves: {'alive' if held['alive'] else 'DEAD'}, "
          f"{held['echoes']} echoes, longest stall {held['longest_stall_ms']:.1f} ms")
    lost = sum(move["lost"] + move["lost_from_guest"] for move in whole["moves"])
    sent = sum(move["sent"] + move["sent_from_guest"] for move in whole["moves"])
    print(f"Both moves: {lost} of {sent} packets lost. " +
          ("All is well." if not whole["faults"] else "Not well:"))
    for fault in whole["faults"]:
        print(f"  {fault}")
    sys.stdout.flush()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=2)
            file.write("\n")


def keep(room):
    """Stays until a signal."""
    nvectl = os.path.relpath(os.path.join(room.build, "nvectl/nvectl"))
    inside = [(host, f"$PWD/{nvectl} {words}") for host, words in
              (("hv1", "status"), ("peer", "mappings"), ("hv1", "moves --timeline"))]
    print(guide.text(room.lab, room.home.name, room.other().name, inside if room.system == "rehome" else ()),
          flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass  # the way to end it


def run(options, steps):
    """The exit status."""
    prepare(options, steps)
    with Room(options.system, options.underlay, options.build, steps.say_of_lab) as room:
        whole = perform(room, options, steps)
        if options.keep:
            conclude(whole, options)
            keep(room)
    if not options.keep:
        compare(whole, options, steps)
        conclude(whole, options)
    return EXIT_FAULT if whole["faults"] else 0


def main():
    options, steps = parse(), Steps()
    if os.geteuid() != 0:
        print("demo: needs root: it makes namespaces and virtual machines", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    try:
        status = run(options, steps)
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except Unsupported as error:
        steps.say(f"this system cannot do that: {error}")
        status = EXIT_UNSUPPORTED
    except LabError as error:
        steps.say(f"failed: {error}")
        status = EXIT_FAULT
    steps.say("done")
    sys.exit(status)


if __name__ == "__main__":
    main()
