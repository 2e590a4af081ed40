# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant system without a VM: a network namespace behind a veth in a host's overlay bridge."""

import socket

from .namespaces import net_namespace

PREFIX4, PREFIX6 = 24, 64


def guest_mac(number):
    return f"52:54:00:aa:00:{number:02x}"


class Tenant:
    """Its device is eth0; its port in the bridge is .port. It shares the files and pids of its host."""

    def __init__(self, host, name, bridge, mac, ip4, ip6, vni=100, mtu=1500):
        self.host, self.name, self.bridge, self.mac = host, name, bridge, mac
        self.ip4, self.ip6, self.vni, self.mtu = ip4, ip6, vni, mtu
        self.port = name[:15]  # IFNAMSIZ - 1
        self._add()

    def _add(self):
        self.host.ip(f"netns add {self.name}\n"
                     f"link add name {self.port} mtu {self.mtu} type veth "
                     f"peer name eth0 mtu {self.mtu} address {self.mac} netns {self.name}\n"
                     f"link set dev {self.port} addrgenmode none master {self.bridge} up\n")
        # A new namespace has the kernel's defaults, with DAD, not its host's.
        self.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad;"
                              "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad;"
                              "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad;"
                              "echo 0 > /proc/sys/net/ipv6/conf/eth0/router_solicitations"])
        self.run(["ip", "-batch", "-"],
                 input="link set dev lo up\n"
                       f"address add {self.ip4}/{PREFIX4} dev eth0\n"
                       f"address add {self.ip6}/{PREFIX6} dev eth0 nodad\n"
                       "link set dev eth0 up\n")

    def popen(self, argv, **options):
        """As Host.popen, in the tenant's network."""
        return self.host.popen(["ip", "netns", "exec", self.name, *argv], **options)

    def run(self, argv, check=True, timeout=60, **options):
        """As Host.run, in the tenant's network."""
        return self.host.run(["ip", "netns", "exec", self.name, *argv], check, timeout, **options)

    def namespace(self):
        """Context: sockets that this thread makes are the tenant's."""
        return net_namespace(self.host.path(f"/run/netns/{self.name}"))

    def ping(self, address, count=1, timeout=1):
        """Whether ADDRESS, of either family, answered all of COUNT echo requests."""
        argv = ["ping", "-n", "-q", "-i", "0.05", "-c", str(count), "-W", str(timeout), address]
        return self.run(argv, check=False).returncode == 0

    def connects(self, address, port, timeout=1.0):
        """Whether something accepts TCP connections at ADDRESS."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.namespace():
            sock = socket.socket(family, socket.SOCK_STREAM)
        with sock:
            sock.settimeout(timeout)
            return sock.connect_ex((address, port)) == 0

    def remove(self):
        self.host.run(["ip", "netns", "del", self.name])
