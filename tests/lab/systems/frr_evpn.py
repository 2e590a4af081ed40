# SPDX-License-Identifier: LGPL-2.1-or-later
"""FRR's EVPN: bgpd and zebra on each NVE, an iBGP full mesh, MAC routes into the VXLAN FDB (RFC 8365).

Each host has its own /etc/frr and /run/frr, so the daemons' default paths serve.

FRR 8.4 has no VXLAN over IPv6: with an IPv6 local address on vx100 and BGP established over IPv6, zebra shows
"Local VTEP IP: 0.0.0.0", every EVPN route has the IPv4 router-id as next hop, and the VXLAN FDB gets MACs
without a destination. up() looks whether the FRR at hand is like that, and then raises Unsupported.
"""

import json
import os
import shutil

from . import overlay
from ..errors import TimedOut, Unsupported
from ..wait import wait_until

PROGRAMS = "/usr/lib/frr"
USER = "frr"
START_TIMEOUT_S = 20
VTEP_TIMEOUT_S = 3  # zebra reads links before it answers: far more than it needs
AS = 64512  # RFC 6996

_BGPD = """
hostname {name}
router bgp {asn}
 bgp router-id {router_id}
 no bgp default ipv4-unicast
{neighbours}
 address-family l2vpn evpn
{activations}
  advertise-all-vni
 exit-address-family
"""


def bgpd_conf(host, nves):
    """bgpd.conf of HOST: iBGP with each other NVE, over the underlay's family."""
    peers = [nve.vtep for nve in nves if nve is not host]
    return _BGPD.format(
        name=host.name, asn=AS, router_id=host.ip4,
        neighbours="\n".join(f" neighbor {peer} remote-as {AS}\n neighbor {peer} timers connect 1"
                             for peer in peers),
        activations="\n".join(f"  neighbor {peer} activate" for peer in peers))


def _write_configuration(host, nves):
    directory = os.path.join(host.root, "etc/frr")
    for name, text in (("zebra.conf", f"hostname {host.name}\n"), ("bgpd.conf", bgpd_conf(host, nves)),
                       ("vtysh.conf", "")):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        shutil.chown(path, USER, USER)
    host.run(["install", "-d", "-o", USER, "-g", USER, "/run/frr"])


def _start(host, program, *options):
    host.daemon(program, [f"{PROGRAMS}/{program}", "-f", f"/etc/frr/{program}.conf", "-i", f"/run/frr/{program}.pid",
                          "--log", "stdout", "--log-level", "notifications", *options])


def vtysh(host, command):
    """What FRR on HOST answers to a `show ... json` COMMAND; {} while it cannot."""
    done = host.run(["vtysh", "-c", command], check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return {}


class FrrEvpn:
    """The established control plane to compare with."""

    name = "frr_evpn"

    def __init__(self, build=None):
        del build

    def up(self, lab):
        for host in lab.nves:
            overlay.add(host, learning=False)
            _write_configuration(host, lab.nves)
            # zebra drops its netlink messages under load with its default buffer; size from Debian's /etc/frr/daemons.
            _start(host, "zebra", "-A", "127.0.0.1", "-s", "90000000")
        for host in lab.nves:
            wait_until(lambda on=host: os.path.exists(on.path("/run/frr/zserv.api")),
                       f"zebra on {host.name}", START_TIMEOUT_S)
            _start(host, "bgpd", "-A", "127.0.0.1")
        lab.say("FRR's daemons run")
        for host in lab.nves:
            self._require_local_vtep(host)
        for host in lab.nves:
            self._wait_meshed(lab, host)

    @staticmethod
    def _require_local_vtep(host):
        """zebra must know the VXLAN device's local address, or there is nothing it can advertise."""
        def shown():
            return vtysh(host, f"show evpn vni {overlay.VNI} json").get("vtepIp")
        wait_until(shown, f"VNI {overlay.VNI} in zebra on {host.name}", START_TIMEOUT_S)
        try:
            wait_until(lambda: shown() == host.vtep, "local VTEP", VTEP_TIMEOUT_S, poll=0.1)
        except TimedOut:
            version = host.run([f"{PROGRAMS}/zebra", "--version"]).stdout.splitlines()[0]
            raise Unsupported(f"{version}: EVPN has no VXLAN over this underlay: the device's local address is "
                              f"{host.vtep}, `show evpn vni {overlay.VNI}` says {shown()}") from None

    @staticmethod
    def _wait_meshed(lab, host):
        """Every other NVE is in the kernel's flood list."""
        others = {nve.vtep for nve in lab.nves if nve is not host}

        def flood_list():
            shown = json.loads(host.run(["bridge", "-j", "fdb", "show", "dev", overlay.VXLAN]).stdout or "[]")
            return {entry.get("dst") for entry in shown if entry["mac"] == "00:00:00:00:00:00"}
        try:
            wait_until(lambda: others <= flood_list(), f"EVPN mesh on {host.name}", START_TIMEOUT_S, poll=0.1)
        except TimedOut as error:
            summary = host.run(["vtysh", "-c", "show bgp l2vpn evpn summary"], check=False).stdout
            raise TimedOut(f"{error}; bgpd says:\n{summary}") from None

    def down(self, lab):
        for host in lab.nves:
            for program in ("bgpd", "zebra"):
                host.daemons[program].stop()
            overlay.remove(host)
