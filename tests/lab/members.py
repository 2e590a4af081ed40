# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hosts and tenants of a lab that runs in another process, for `lab exec`."""

import glob
import os
import tempfile

from .errors import LabError
from .host import SYSTEM_PATH

PREFIX, FILE = "rehome-lab.", "members"


def write(directory, fabric, hosts, tenants):
    """A line `NAME PID` per host, `NAME PID TENANT` per tenant."""
    lines = [f"fabric {fabric.holder.pid}"]
    lines += [f"{host.name} {host.holder.pid}" for host in hosts]
    lines += [f"{tenant.name} {tenant.host.holder.pid} {tenant.name}" for tenant in tenants]
    with open(os.path.join(directory, FILE), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


def _read(directory):
    try:
        with open(os.path.join(directory, FILE), encoding="ascii") as file:
            members = {line.split()[0]: line.split()[1:] for line in file}
    except FileNotFoundError:
        raise LabError(f"no lab is up in {directory}") from None
    return members if all(os.path.exists(f"/proc/{pid}") for pid, *_ in members.values()) else {}


def _only_lab():
    found = [os.path.dirname(path) for path in glob.glob(os.path.join(tempfile.gettempdir(), PREFIX + "*", FILE))]
    running = [directory for directory in found if _read(directory)]
    if len(running) != 1:
        raise LabError("which lab? " + (" or ".join(sorted(running)) or "none is up"))
    return running[0]


def exec_in(directory, member, argv):
    """Becomes ARGV in the namespaces of MEMBER; does not return."""
    members = _read(directory or _only_lab())
    if not members:
        raise LabError("that lab is not up any more")
    if member not in members:
        raise LabError(f"no member {member} (there are: {' '.join(members)})")
    pid, *tenant = members[member]
    enter = ["nsenter", "--target", pid, "--mount", "--net", "--uts", "--pid", "--"]
    os.environ["PATH"] = SYSTEM_PATH
    os.execvp(enter[0], enter + ["ip", "netns", "exec"] * bool(tenant) + tenant + list(argv))
