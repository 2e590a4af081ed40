# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts in namespaces, with real libvirt, QEMU and VXLAN: the machine room of our tests and benchmarks.

A tour

    import sys; sys.path.insert(0, "ROOT/tests")
    from lab import Lab, systems

    with Lab(systems.by_name("flood"), underlay=6, build="BUILD") as lab:
        vm = lab.guest_start("hv1")                     # answers ts-peer over IPv4 and IPv6
        seconds = lab.migrate(vm, "hv1", "hv2")
        assert lab.where(vm) is lab["hv2"]
        assert lab.tenants["ts-peer"].ping(vm.ip6)

Run as root after tests/lab/setup. Leaving the block in any way, SIGTERM included, takes all down and fails
if a process is left. If the lab process is killed, the kernel ends the lab with it. Several labs can run at
once. If the block fails, the logs stay in lab.dir/HOST/NAME.log.

Hosts       lab["hv1"], "hv2" (hypervisors), "peer", "nva", and those of Lab(more=("hv3", "gw1")).
            Names tell roles: hv* runs libvirtd; all but nva*, etcd* and ext* are NVEs (lab.nves).
  .ip4 .ip6 .vtep    underlay addresses; vtep is the one of Lab(underlay=)
  .run(argv, check=True, timeout=60, input=None, env=None)   CompletedProcess, text; CommandFailed
  .popen(argv, **Popen options)       its pid is the program's own; signals reach it
  .daemon(name, argv)                 Daemon: .wait_output(text) .signal(n) .stop() .kill() .running() .output()
  .ip("link add ...\\n") .bridge("fdb ...\\n")   lines for ip -batch, bridge -batch
  .virsh("domstate", "vm1")           output of virsh on its own libvirtd
  .path("/run/x")                     how the lab process sees a file inside the host
  .daemons["libvirtd"]                and virtlogd, and what the system started
  .root                               ROOT/etc/libvirt, ROOT/var/log/libvirt ... of that host
Tenants     lab.tenants["ts-peer"], "ts-hv1", "ts-hv2"; more with lab.tenant(host, name, mac=, ip4=, ip6=).
  .run .popen as of hosts; .ping(address) .connects(address, port); .ip4 .ip6 .mac .port .host
  with tenant.namespace(): ...        sockets made by this thread in the block are the tenant's
Guests      Guest(name, uuid, nics=[Nic(mac, ip4, ip6, bridge)], memory_mib, queues, mtu, backend, modules, script)
  lab.guest_start(host, guest)  lab.wait_guest(guest, host, tenant)  lab.where(guest)  lab.console(guest, host)
Moves       lab.migrate(guest, source, target, live=True, postcopy=False, extra=["--timeout", "5"], way="p2p")
            lab.migration(...): the same, at once back: .wait() .abort() .running()
Bare QEMU   lab.qemu_start(host, guest, tap="tap0", incoming=incoming_uri(lab["hv2"]), monitor=path): Qemu with
            .qmp.execute("query-status"), .qmp.wait_event("STOP"), .migrate_to(host), .stop()
Underlay    lab.fabric.link(host, "down"): pulls the cable of a host; Lab(mtu=): jumbo frames
Captures    with capture.Capture(host, device, "arp", "out") as seen: ...; then seen.frames(), frame.vxlan().inner
libvirtd    lab.install_hook(host, program) before it starts; libvirt.stop(host, crash=True), lab.start_libvirtd()
Waiting     wait_until(condition, "what", timeout): never sleep
Systems     flood, frr_evpn, rehome; Unsupported is raised by what a system cannot do
"""

from . import guide, libvirt, systems
from .errors import CommandFailed, LabError, TimedOut, Unsupported
from .guest import Guest, Migration, Nic
from .host import Daemon, Host
from .lab import Lab
from .qemu import Qemu, incoming_uri
from .qmp import Qmp
from .tenant import Tenant
from .wait import wait_until

__all__ = ["CommandFailed", "Daemon", "Guest", "Host", "Lab", "LabError", "Migration", "Nic", "Qemu", "Qmp",
           "Tenant", "TimedOut", "Unsupported", "guide", "incoming_uri", "libvirt", "systems", "wait_until"]
