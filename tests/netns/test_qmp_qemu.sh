#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Moves a guest between two real QEMUs (SeaBIOS only, TCG) through the QMP library: hot move over a UNIX socket, IPv4 and
# IPv6; a cancelled and a failed one; every migration parameter and capability of the library's tables.
# usage: test_qmp_qemu.sh QMP_DRIVE
# shellcheck source=tests/lib/testlib.sh
. "$(dirname "$0")/../lib/testlib.sh"
drive=$1
requires qemu-system-x86_64 --version
requires ip netns list

work=$(mktemp -d)
on_exit "rm -rf '$work'"
host_add qmp

qemu() {	# NAME ARGUMENTS...
	name=$1; shift
	in_host qmp qemu-system-x86_64 -machine pc,accel=tcg -m 32 -nodefaults -display none -serial none \
		-S -pidfile "$work/$name.pid" -qmp "unix:$work/$name.qmp,server=on,wait=off" "$@" &
	wait_until 20 listens "$name"
}

listens() {	# NAME; the flag is __SO_ACCEPTCON (linux/net.h)
	in_host qmp grep -q "00010000 .* $work/$1.qmp\$" /proc/net/unix
}

end() {		# NAME: also a QEMU that has ended by itself
	[ ! -e "$work/$1.pid" ] || kill -KILL "$(cat "$work/$1.pid")" 2>/dev/null || true
}

scenario() {	# SCENARIO URI
	echo "== $1 $2"
	rm -f "$work"/*.pid "$work"/*.qmp
	qemu source
	qemu destination -incoming defer
	failed=0
	in_host qmp "$drive" "$1" "$work/source.qmp" "$work/destination.qmp" "$2" || failed=1
	end source
	end destination
	wait
	return $failed
}

on_exit end source
on_exit end destination
scenario parameters unix:unused
scenario move "unix:$work/migration"
scenario move tcp:127.0.0.1:4444
scenario move 'tcp:[::1]:4444'
scenario cancel "unix:$work/migration"
scenario fail "unix:$work/migration"
