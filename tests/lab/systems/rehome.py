# SPDX-License-Identifier: LGPL-2.1-or-later
"""rehome itself: the NVA on host nva, an agent on each NVE, the hook on each hypervisor.

The agents make br100 and vx100. They start before libvirtd, as at the boot of a host, and connect to it when
it comes.
"""

import glob
import os

from ..errors import LabError
from ..guest import uri_host
from . import overlay

NVA_PORT = 7365
READY_TIMEOUT_S = 60
CONFIG = "/run/rehome-{}.conf"
PROGRAMS = {name: f"{folder}/{name}" for folder, name in
            (("nva", "nva"), ("nveagent", "nveagent"), ("nvectl", "nvectl"), ("hook", "rehome-hook"))}
# What the runtimes of -Db_sanitize print before a report.
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")

REPORT_SHOWN = 3000  # characters


def ini(sections):
    """Text of {section: {key: value}}."""
    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                     for name, keys in sections.items())


class Rehome:
    """
    build: the build directory. nva, agent, vni: further keys for those sections of the configurations.
    vnis: what each NVE takes part in; brN and vxN for VNI N.
    """

    name = "rehome"

    def __init__(self, build=None, nva=None, agent=None, vni=None, vnis=(overlay.VNI,)):
        self.build = os.path.abspath(build) if build else None
        self.vnis = vnis
        self._extra = {"nva": nva or {}, "agent": agent or {}, "vni": vni or {}}

    def program(self, name):
        """The path of nva, nveagent, nvectl or rehome-hook in the build directory."""
        path = os.path.join(self.build or "", PROGRAMS[name])
        if not self.build or not os.access(path, os.X_OK):
            raise LabError(f"system rehome needs {path} of a build directory")
        return path

    @staticmethod
    def nva_store(host):
        """On a real disk, not in the host's /run."""
        return os.path.join(host.dir, "store")

    def nva_config(self, host):
        return ini({"nva": {"listen": uri_host(host.vtep), "port": NVA_PORT, "name": "nva1",
                            "insecure-plain": "yes", **self._extra["nva"]},
                    "store": {"path": self.nva_store(host)}})

    def agent_config(self, lab, host):
        sections = {
            "agent": {"name": host.name, "vtep": host.vtep, "nva": f"{uri_host(lab['nva'].vtep)}:{NVA_PORT}",
                      "insecure-plain": "yes",
                      "libvirt-uri": "qemu:///system" if host.is_hypervisor else "none", **self._extra["agent"]}}
        for vni in self.vnis:
            bridge, vxlan = overlay.devices(vni)
            sections[f"vni {vni}"] = {"bridge": bridge, "vxlan": vxlan, "port": overlay.PORT, **self._extra["vni"]}
        return ini(sections)

    def _daemon(self, host, name, config):
        path = CONFIG.format(name)
        with open(host.path(path), "w", encoding="utf-8") as file:
            file.write(config)
        host.run(["mkdir", "-p", "/run/rehome"])
        # As the systemd units do it: nveagent.service has CPUSchedulingPolicy=rr.
        policy = ["chrt", "--rr", "1"] if name == "nveagent" else []
        return host.daemon(name, [*policy, self.program(name), "--config", path])

    def start_nva(self, lab):
        """Starts the NVA (again, after a crash made by a test) and waits until it serves."""
        self._daemon(lab["nva"], "nva", self.nva_config(lab["nva"])).wait_output("ready", READY_TIMEOUT_S)

    def start_agent(self, lab, host):
        """Starts the agent of HOST; its Daemon says when it is ready."""
        return self._daemon(host, "nveagent", self.agent_config(lab, host))

    def ctl(self, host, *words, check=True):
        """Runs nvectl on HOST."""
        return host.run([self.program("nvectl"), *words], check)

    def up(self, lab):
        for name in PROGRAMS:
            self.program(name)
        self.start_nva(lab)
        for agent in [self.start_agent(lab, host) for host in lab.nves]:
            agent.wait_output("ready", READY_TIMEOUT_S)
        for host in lab.hypervisors:
            lab.install_hook(host, self.program("rehome-hook"))

    def down(self, lab):
        """An orderly end, in which a sanitizer may have something to report."""
        daemons = [host.daemons["nveagent"] for host in lab.nves if "nveagent" in host.daemons]
        daemons += [lab["nva"].daemons["nva"]] if "nva" in lab["nva"].daemons else []
        for daemon in daemons:
            daemon.stop()
        reports = self.sanitizer_reports(lab)
        if reports:
            raise LabError("a sanitizer reports:\n" + "\n".join(reports))

    @staticmethod
    def sanitizer_reports(lab):
        """The reports in all logs of the lab so far, those of daemons that were restarted and of the hook included."""
        found = []
        for host in lab.hosts.values():
            for log in sorted(glob.glob(os.path.join(host.dir, "*.log"))):
                with open(log, encoding="utf-8", errors="replace") as file:
                    text = file.read()
                start = min((text.find(mark) for mark in SANITIZERS if mark in text), default=None)
                if start is not None:
                    found.append(f"{log}: {text[start:start + REPORT_SHOWN]}")
        return found
