# SPDX-License-Identifier: LGPL-2.1-or-later
"""How to look around in a lab that is up, for people."""

import os

from .guest import uri_host

LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), "lab")

_GUIDE = """
The lab is up. Look around from another terminal:

  {lab} exec --lab {dir} hv1 bridge fdb show dev vx100
  {lab} exec --lab {dir} hv1 virsh list
  {lab} exec --lab {dir} ts-peer ping 198.51.100.10
  {lab} exec --lab {dir} ts-peer ping 2001:db8:100::10
  {lab} exec --lab {dir} {source} virsh migrate --live --p2p vm1 \\
        qemu+tcp://{target}/system tcp://{target}
{more}  {lab} exec --lab {dir} peer bash

Members: {members}
Logs:    {dir}/HOST/*.log, {dir}/HOST/root/var/log/libvirt/

Ctrl-C here takes it all down.
"""


def text(lab, source="hv1", target="hv2", inside=()):
    """The guide to LAB, with a migration from SOURCE to TARGET, and further commands INSIDE ((member, command), ...)."""
    command = os.path.relpath(LAB)
    more = "".join(f"  {command} exec --lab {lab.dir} {member} {words}\n" for member, words in inside)
    return _GUIDE.format(lab=command, dir=lab.dir, source=source, target=uri_host(lab[target].vtep), more=more,
                         members=" ".join([*lab.hosts, *lab.tenants]))
