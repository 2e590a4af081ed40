# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults for bench/move --fault: real ones, done to a move at an event of QEMU, never by time.

A fault is made before the move, is told to aim() when the destination's QEMU waits for the guest (what has to be looked
up or started is, so that nothing of that costs time later), and to fire() at its event. It says what it did, and when
its cause was over. What it started, stopped or froze itself, it ends, starts or thaws itself, at the latest in close().

A blackout here is 50 to 400 ms. Where a fault needs a longer one, the destination's libvirtd is frozen (SIGSTOP) from
STOP on: QEMU sends everything, but nobody lets the guest go on there until libvirtd is thawed, as with a destination
that is slow.
"""

import contextlib
import os
import signal
import subprocess
import time

from lab import LabError, Unsupported, wait_until

RESTART_S = 0.1  # systemd's RestartSec=, systemd.service(5)
CUT_S = 0.5  # for how long a cable is out
UNTIL_SWITCH_MS = 100  # from the last packet that an emulated guest took until its old NVE has switched: 4 to 70
READY_TIMEOUT_S = 30
LAST_EVENT_TIMEOUT_S = 10
STOP, MIGRATION = "STOP", "MIGRATION"


def now_us():
    return time.time_ns() // 1000


def qemu_pid(host):
    """The pid, as this process sees it, of the only QEMU on HOST."""
    inside = os.stat(f"/proc/{host.holder.pid}/ns/pid").st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/pid").st_ino == inside:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if os.path.basename(file.read().split(b"\0")[0]).startswith(b"qemu-system-"):
                        found.append(int(pid))
    if len(found) != 1:
        raise LabError(f"{len(found)} QEMUs on {host.name}, not one")
    return found[0]


class Fault:
    """What a fault does. .said: what was done, as texts; .fired_us, .over_us: when it was done, and when its cause was
    over (CLOCK_REALTIME)."""

    event, data = STOP, ""  # of the source's QEMU; what fires it
    bound_more = 0  # packets, beside those of bound_ms()
    needs_agents = False

    def __init__(self, room, source, target):
        self.room, self.source, self.target = room, source, target
        self.said, self.fired_us, self.over_us = [], None, None
        self._undo = contextlib.ExitStack()
        if self.needs_agents and room.system != "rehome":
            raise Unsupported(f"{room.system} has no agents")

    def aim(self):
        """The destination's QEMU is there; its guest has not stopped at the source."""

    def fire(self):
        """At the event. The time it is called at is in .fired_us."""
        raise NotImplementedError

    def finish(self):
        """What belongs to the fault and follows; returns when its cause is over."""

    def close(self):
        self._undo.close()

    def say(self, text):
        """Notes what was done, with the milliseconds since the fault was fired."""
        self.said.append(f"{text} (+{(now_us() - self.fired_us) / 1000:.1f} ms)")

    def freeze_destination(self):
        """Its libvirtd lets no guest go on until thaw()."""
        libvirtd = self.target.daemons["libvirtd"]
        libvirtd.signal(signal.SIGSTOP)
        self._undo.callback(libvirtd.signal, signal.SIGCONT)
        self.say("destination's libvirtd frozen, to prolong the blackout")

    def thaw(self):
        self._undo.close()
        self.say("destination's libvirtd thawed")

    @staticmethod
    def bound_ms(move):
        """For how long packets may be lost, in milliseconds of the stream. MOVE: fault_move.FaultMove."""
        del move
        return 0


class _DestQemuKilled(Fault):
    """kill -9 of the destination's QEMU."""

    bound = "0: the guest goes on at the source, which has everything"

    def aim(self):
        pid = qemu_pid(self.target)
        self._qemu = os.pidfd_open(pid)
        self._undo.callback(os.close, self._qemu)

    def fire(self):
        signal.pidfd_send_signal(self._qemu, signal.SIGKILL)
        self.say("destination's QEMU killed")


class _DestQemuKilledAtPreSwitchover(_DestQemuKilled):
    """The same some milliseconds later, when the source has decided to send the last state."""
    event, data = MIGRATION, "pre-switchover"


class _DestQemuKilledInDevice(_DestQemuKilled):
    """The same while the last state travels."""
    event, data = MIGRATION, '"device"'


class _MigrationFailedLate(_DestQemuKilled):
    """The source's QEMU has sent everything, and then the destination's QEMU is killed: libvirt lets the guest go on at
    the source. The destination's libvirtd is frozen from STOP on, so that the guest does not go on there before."""

    def fire(self):
        self.freeze_destination()
        self._skip = self.room.events[self.source.name].count()

    def finish(self):
        self.room.events[self.source.name].wait(MIGRATION, self._skip, LAST_EVENT_TIMEOUT_S, '"completed"')
        signal.pidfd_send_signal(self._qemu, signal.SIGKILL)
        self.say("source's QEMU has sent everything; destination's QEMU killed")
        self.thaw()


class _JobAborted(Fault):
    """virsh domjobabort; the virsh was started and connected before."""

    bound = "0: the guest goes on at the source, which has everything"

    def aim(self):
        self._virsh = self.source.popen(["virsh", "-c", "qemu:///system"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._undo.callback(self._end_virsh)

    def _end_virsh(self):
        if self._virsh.poll() is None:
            self._virsh.kill()
        self._virsh.communicate()

    def fire(self):
        self._virsh.stdin.write(f"domjobabort {self.room.guest.name}\nquit\n")
        self._virsh.stdin.flush()
        self.say("virsh domjobabort")

    def finish(self):
        out, _ = self._virsh.communicate(timeout=READY_TIMEOUT_S)
        refused = [line.strip() for line in out.splitlines() if line.startswith("error:")]
        self.say(f"virsh says {'; '.join(refused) or 'that it did it'}")


class _JobAbortedAtPreSwitchover(_JobAborted):
    """The same at MIGRATION pre-switchover, some milliseconds later."""
    event, data = MIGRATION, "pre-switchover"


class _AgentKilled(Fault):
    """kill -9 of an agent, and its restart as systemd does it."""

    needs_agents = True

    def agent_host(self):
        raise NotImplementedError

    def fire(self):
        self.end_agent(self.agent_host().daemons["nveagent"])
        self._killed = time.monotonic()

    def end_agent(self, agent):
        agent.kill()
        self.say(f"agent of {self.agent_host().name} killed")

    def finish(self):
        host, lab = self.agent_host(), self.room.lab
        wait_until(lambda: time.monotonic() - self._killed >= RESTART_S, "time of the restart", RESTART_S + 1)
        agent = lab.system.start_agent(lab, host)
        self.say(f"agent of {host.name} started")
        agent.wait_output("ready", READY_TIMEOUT_S)
        self.say("and ready")


class _DestAgentKilled(_AgentKilled):
    """The destination's agent is not there when the guest goes on there."""

    bound = "packets of the time from RESUME until the agent was ready again"

    def agent_host(self):
        return self.target

    @staticmethod
    def bound_ms(move):
        return max(0, move.fault.over_us - move.resume_us) / 1000 if move.resume_us else 0


class _DestAgentDownAtResume(_DestAgentKilled):
    """The same, but its restart begins only after RESUME."""

    def aim(self):
        self._skip = self.room.events[self.target.name].count()

    def finish(self):
        self.room.events[self.target.name].wait("RESUME", self._skip, LAST_EVENT_TIMEOUT_S)
        self.say("RESUME at the destination")
        self._killed = time.monotonic()
        super().finish()


class _SourceAgentRestarted(_AgentKilled):
    """What the source's agent had pulled from the tap is gone with it; what it held is not. The blackout is prolonged
    until the agent is ready again."""

    bound = "packets that came until the agent had switched, and 4 that QEMU swallowed (docs/decisions/0004, 0005)"
    bound_more = 4

    def agent_host(self):
        return self.source

    def fire(self):
        self.freeze_destination()
        super().fire()

    def finish(self):
        super().finish()
        self.thaw()

    @staticmethod
    def bound_ms(move):
        return UNTIL_SWITCH_MS


class _SourceAgentEnded(_SourceAgentRestarted):
    """The same with an agent that is told to end (SIGTERM), as when the package is upgraded."""

    bound = "0: what it has it sends to the new NVE before it ends, and the kernel goes on"
    bound_more = 0

    def end_agent(self, agent):
        if (status := agent.stop()) != 0:
            raise LabError(f"the agent ended with {status}")
        self.say(f"agent of {self.source.name} told to end, and ended")

    @staticmethod
    def bound_ms(move):
        return 0


class _SourceAgentRestartedInPrecopy(_AgentKilled):
    """The source's agent is killed when it has said yes to the move, and starts anew before the guest stops."""

    event, data = MIGRATION, '"active"'
    bound = "0: it is asked again; else packets from STOP until it was ready again"

    def agent_host(self):
        return self.source

    @staticmethod
    def bound_ms(move):
        late_ms = (move.fault.over_us - move.stop_us) / 1000
        return late_ms + UNTIL_SWITCH_MS if late_ms > 0 else 0


class _UnderlayCut(Fault):
    """A host's cable is out for CUT_S from STOP on. The migration, too, uses the underlay."""

    bound = "packets sent while the cable was out"

    def cut_host(self):
        return self.target

    def aim(self):
        self._ip = self.room.lab.fabric.holder.popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)
        self._undo.callback(self._end_ip)

    def _link(self, state):
        self._ip.stdin.write(f"link set dev {self.cut_host().name} {state}\n")
        self._ip.stdin.flush()

    def _end_ip(self):
        self._link("up")
        self._ip.stdin.close()
        if self._ip.wait() != 0:
            raise LabError(f"ip ended with {self._ip.returncode}")

    def fire(self):
        self._link("down")
        self._cut = time.monotonic()
        self.say(f"cable of {self.cut_host().name} out")

    def finish(self):
        wait_until(lambda: time.monotonic() - self._cut >= CUT_S, "end of the cut", CUT_S + 1)
        self._link("up")
        self.say("and in again")

    @staticmethod
    def bound_ms(move):
        return (move.fault.over_us - move.fault.fired_us) / 1000


class _SourceUnderlayCut(_UnderlayCut):
    """The same with the source's cable: what peers send meanwhile cannot reach anybody who has the guest."""

    def cut_host(self):
        return self.source


class _NvaUnderlayCut(_UnderlayCut):
    """The same with the NVA's cable: nobody can be told."""

    bound = "0: the old NVE forwards until everybody knows"

    def cut_host(self):
        return self.room.lab["nva"]

    @staticmethod
    def bound_ms(move):
        return 0


FAULTS = {
    "dest-qemu-killed": _DestQemuKilled,
    "dest-qemu-killed-at-pre-switchover": _DestQemuKilledAtPreSwitchover,
    "dest-qemu-killed-in-device": _DestQemuKilledInDevice,
    "migration-failed-late": _MigrationFailedLate,
    "job-aborted": _JobAborted,
    "job-aborted-at-pre-switchover": _JobAbortedAtPreSwitchover,
    "dest-agent-killed": _DestAgentKilled,
    "dest-agent-down-at-resume": _DestAgentDownAtResume,
    "source-agent-restarted-in-precopy": _SourceAgentRestartedInPrecopy,
    "source-agent-restarted-in-blackout": _SourceAgentRestarted,
    "source-agent-ended-in-blackout": _SourceAgentEnded,
    "underlay-cut-in-blackout": _UnderlayCut,
    "source-underlay-cut-in-blackout": _SourceUnderlayCut,
    "nva-underlay-cut-in-blackout": _NvaUnderlayCut,
}
