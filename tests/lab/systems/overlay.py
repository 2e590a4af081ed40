# SPDX-License-Identifier: LGPL-2.1-or-later
"""br100 and vx100 as an administrator would make them; shared by the systems that bring none of their own."""

VNI, PORT = 100, 4789


def devices(vni):
    """The names of bridge and VXLAN device of VNI."""
    return f"br{vni}", f"vx{vni}"


BRIDGE, VXLAN = devices(VNI)


def add(host, learning):
    """Adds both devices, with the host's VTEP; LEARNING is that of the VXLAN device and of its bridge port."""
    switch = "on" if learning else "off"
    vxlan = "learning" if learning else "nolearning"
    # A switch has no addresses of its own in the tenants' network.
    host.ip(f"link add name {BRIDGE} type bridge forward_delay 0 stp_state 0\n"
            f"link set dev {BRIDGE} addrgenmode none up\n"
            f"link add name {VXLAN} mtu 1500 type vxlan id {VNI} dstport {PORT} local {host.vtep} {vxlan}\n"
            f"link set dev {VXLAN} addrgenmode none master {BRIDGE}\n"
            f"link set dev {VXLAN} type bridge_slave learning {switch}\n"
            f"link set dev {VXLAN} up\n")


def remove(host):
    host.ip(f"link del dev {VXLAN}\nlink del dev {BRIDGE}\n")
