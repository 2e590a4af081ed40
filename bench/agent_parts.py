# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench/agent measures, a function each: (scene, options, say) -> figures."""

import os
import random
import signal
import statistics
import time

from lab import LabError, wait_until

from .agent_scene import NEW_NVE, REALTIME, UPDATE_MAPPINGS, VNI, FakeQemu, bridge, ip, run

RESULTS = ("program_100k_s", "ratio_to_bare_netlink", "ratio_to_paced_netlink", "bytes_per_mapping", "switch_delay_ms",
           "switch_resync_ms", "flood_cpu_share")
LOST = 60000  # of each kind: the agent's socket holds some 40,000
UUID = "6a6c1f6e-8f0b-4c1e-9a53-0f6f0c3a7d11"
VM, TENANT = "52:54:00:aa:00:10", "52:54:00:aa:00:15"
TRIES_MAX = 5  # times as many changes as are wanted during one


def bare(scene, options, mode="netlink"):
    """Seconds of the bare loop; of the one that rests with mode "paced"."""
    scene.add_devices()
    try:
        return float(run(*REALTIME, scene.program("bench/agent_load"), mode, f"br{VNI}", f"vx{VNI}",
                         str(options.mappings), str(scene.underlay)))
    finally:
        scene.remove_devices()


def synced(scene, options):
    with scene.running(options.mappings) as (_, agent):
        began, ended = agent.synced_us
        found = scene.count_entries()
    if found != [options.mappings] * 4:
        raise LabError(f"the kernel holds {found} entries, not {options.mappings} of each")
    return (ended - began) / 1e6


def program(scene, options, say):
    loops, paced, syncs = [], [], []
    for number in range(options.rounds):
        loops.append(bare(scene, options))
        paced.append(bare(scene, options, "paced"))
        syncs.append(synced(scene, options))
        say(f"{number + 1} of {options.rounds}: bare loop {loops[-1]:.3f} s, with rests {paced[-1]:.3f} s, "
            f"agent {syncs[-1]:.3f} s")
    return {"program_100k_s": round(statistics.median(syncs), 3), "bare_netlink_s": round(statistics.median(loops), 3),
            "ratio_to_bare_netlink": round(statistics.median(a / b for a, b in zip(loops, syncs)), 3),
            "paced_netlink_s": round(statistics.median(paced), 3),
            "ratio_to_paced_netlink": round(statistics.median(a / b for a, b in zip(paced, syncs)), 3),
            "program_each_s": syncs, "bare_each_s": loops, "paced_each_s": paced}


def memory(scene, options, say):
    sizes = []
    for count in (0, options.mappings):
        with scene.running(count) as (_, agent):
            sizes.append(agent.private_bytes())
        say(f"{count} mappings: {sizes[-1]} bytes")
    return {"bytes_per_mapping": round((sizes[1] - sizes[0]) / options.mappings, 1), "bytes_of_all": sizes[1]}


class Switcher:
    """A VM that is about to leave again and again, and never does."""

    def __init__(self, scene, nva, agent):
        self._nva, self._agent, self._new = nva, agent, NEW_NVE[scene.underlay]
        self.qemu = FakeQemu(scene, "tap0", VM)
        self.after_stop = None
        agent.ctl("port", "add", "--qmp", self.qemu.path, "--tap", "tap0", "--mac", VM, "--vni", str(VNI),
                  "--uuid", UUID)
        self._wait_state("resident")

    def _wait_state(self, wanted):
        def there():
            return [port["state"] for port in self._agent.ctl("ports")["ports"] if port["mac"] == VM] == [wanted]
        wait_until(there, f"state {wanted} of the VM's port", poll=0.005)

    def _switched_at(self, stop_us):
        events = [event for move in self._agent.ctl("moves")["moves"] for event in move["events"]]
        return next((e["at_us"] for e in events if e["what"] == "switched" and e["at_us"] >= stop_us), None)

    def once(self, before_stop, after_stop=None):
        """Microseconds from STOP to the switch, and when STOP was (CLOCK_MONOTONIC); .after_stop: what that one said."""
        self.qemu.event("MIGRATION", status="setup")
        self.qemu.event("MIGRATION", status="active")
        self._wait_state("leaving")
        self._nva.tell(f"consent {VNI} {VM} {self._new}")
        self._wait_state("armed")
        before_stop()
        at, stop_us = time.monotonic_ns() // 1000, self.qemu.event("STOP")
        self.after_stop = after_stop() if after_stop else None
        switched = wait_until(lambda: self._switched_at(stop_us), "switch in the ledger", poll=0.005)
        self.qemu.event("MIGRATION", status="failed")
        self.qemu.event("RESUME")
        self._wait_state("resident")
        return switched - stop_us, at


class Changes:
    """Sets of mappings that change their NVE."""

    def __init__(self, nva, count):
        self._nva, self._count, self._generation = nva, count, 1
        self._takes_s = 0
        self.begin()
        began, ended = self.span()
        self._takes_s = (ended - began) / 1e6

    def begin(self):
        """Begins a set, and returns at a random moment of it: that of a STOP."""
        self._generation += 1
        self._nva.tell(f"change 0 {self._count} {self._generation} {self._generation}")
        time.sleep(random.uniform(0, self._takes_s))

    def span(self):
        """(first UPDATE sent, all of them confirmed)."""
        first, match = self._nva.expect(r"sent (\d+)$")
        return first, self._nva.wait_acked(int(match.group(1)) + -(-self._count // UPDATE_MAPPINGS) - 1)


def nine_in_ten(values):
    """What nine in ten do not exceed: one in some dozens is the machine's own doing, quiet or not."""
    return statistics.quantiles(values, n=10, method="inclusive")[-1]


def describe(values):
    return f"median {statistics.median(values):.0f}, nine in ten {nine_in_ten(values):.0f}, at most {max(values)} us"


def switch(scene, options, say):
    quiet, during, spans = [], [], []
    with scene.running(options.mappings) as (nva, agent):
        switcher, changes = Switcher(scene, nva, agent), Changes(nva, options.change)
        try:
            quiet = [switcher.once(lambda: None)[0] for _ in range(options.switches)]
            for _ in range(options.switches * TRIES_MAX):
                took, at = switcher.once(changes.begin)
                began, ended = changes.span()
                spans.append(ended - began)
                if began <= at <= ended:
                    during.append(took)
                if len(during) == options.switches:
                    break
        finally:
            switcher.qemu.close()
    if not during:
        raise LabError("no switch fell into a change")
    say(f"quiet: {describe(quiet)}; during a change of {options.change} mappings, which takes "
        f"{statistics.median(spans) / 1000:.1f} ms: {describe(during)}")
    return {"switch_delay_ms": round((nine_in_ten(during) - nine_in_ten(quiet)) / 1000, 3), "switches": len(during),
            "switch_quiet_us": sorted(quiet), "switch_during_us": sorted(during),
            "change_takes_ms": round(statistics.median(spans) / 1000, 1)}


class Losses:
    """
    More notifications than the kernel keeps for an agent that does not read (nveagent/kernel_watch.c): it has to look at
    everything again.
    """

    def __init__(self, agent):
        self._agent = agent
        ip("link add name other0 type bridge\nlink set dev other0 up\nlink add name o0 type veth peer name o1\n"
           "link set dev o0 master other0 up\nlink set dev o1 up\n")
        self._batch = "".join(f"fdb {verb} 02:00:01:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x} dev o0 master {kind}\n"
                              for verb, kind in (("add", "dynamic"), ("del", "")) for n in range(LOST))

    def is_at_it(self):
        return self._agent.ctl("status")["vnis"][0]["resyncing"]

    def _begun(self):
        return self._agent.ctl("status")["counters"]["reconciles"]

    def begin(self):
        """Loses notifications, and returns when the agent has begun to look at the tables again."""
        before = self._begun()
        os.kill(self._agent.pid, signal.SIGSTOP)
        try:
            bridge(self._batch)
        finally:
            os.kill(self._agent.pid, signal.SIGCONT)
        wait_until(lambda: self._begun() > before, "beginning of the new look", poll=0.001)


def resync(scene, options, say):
    """The switch while the agent looks at everything again."""
    quiet, during = [], []
    with scene.running(options.resync_mappings) as (nva, agent):
        switcher, losses = Switcher(scene, nva, agent), Losses(agent)
        try:
            quiet = [switcher.once(lambda: None)[0] for _ in range(options.resyncs)]
            for _ in range(options.resyncs * TRIES_MAX):
                if len(during) == options.resyncs:
                    break
                took, _ = switcher.once(losses.begin, losses.is_at_it)
                if switcher.after_stop:
                    during.append(took)
        finally:
            switcher.qemu.close()
            ip("link del dev other0\nlink del dev o0\n")
    if len(during) < 2:
        raise LabError("no switch fell into a new look at everything")
    say(f"quiet: {describe(quiet)}; while the agent looks at everything again: {describe(during)}")
    return {"switch_resync_ms": round((nine_in_ten(during) - nine_in_ten(quiet)) / 1000, 3), "resync_switches": len(during),
            "resync_quiet_us": sorted(quiet), "resync_during_us": sorted(during)}


def flood(scene, options, say):
    with scene.running(1000) as (nva, agent):
        ip(f"link add name t0 type veth peer name t1\nlink set dev t0 addrgenmode none master br{VNI} up\n"
           f"link set dev t1 address {TENANT} addrgenmode none up\n")
        heard, floods = len(nva.events), {}
        for name, argv in (("questions", ("bench/agent_load", "flood")), ("claims", ("tests/netns/neighbour_flood",))):
            before, began = agent.cpu_s(), time.monotonic()
            run(scene.program(argv[0]), *argv[1:], "t1", TENANT, str(options.flood), str(options.flood_seconds))
            floods[name] = round((agent.cpu_s() - before) / (time.monotonic() - began), 4)
        queries = sum(words.startswith("query ") for _, words in nva.events[heard:])
        counters = agent.ctl("status")["vnis"][0]["suppression"]
        ip("link del dev t0\n")
    say(f"share of a CPU: {floods}; {counters['heard']} heard by the ear, {queries} queries to the NVA")
    return {"flood_cpu_share": max(floods.values()), "flood_cpu_share_each": floods, "flood_queries": queries,
            "flood_heard": counters["heard"]}
