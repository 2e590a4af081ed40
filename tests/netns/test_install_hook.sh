#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs and removes the hook under a prefix. Needs no root.
# usage: test_install_hook.sh REHOME_HOOK
# shellcheck source=tests/lib/testlib.sh
. "$(dirname "$0")/../lib/testlib.sh"
hook=$1
script=$(dirname "$0")/../../migration-scripts/install-hook
root=$(mktemp -d)
on_exit "rm -rf '$root'"
dir=$root/etc/libvirt/hooks/qemu.d

check() { "$@" || { echo "FAILED: $*"; exit 1; }; }
says() { case $output in *"$1"*) ;; *) echo "FAILED: no '$1' in: $output"; exit 1 ;; esac; }
silent_on() { case $output in *"$1"*) echo "FAILED: '$1' in: $output"; exit 1 ;; *) ;; esac; }
run() { output=$("$script" --prefix "$root" "$@" 2>&1); }
fails_with() { status=0; wanted=$1; shift; run "$@" || status=$?; check [ "$status" -eq "$wanted" ]; }

run --hook "$hook"
says "installed $dir/rehome"
silent_on restart		# no daemon runs there
check cmp "$hook" "$dir/rehome"
check [ "$(stat -c %a "$dir/rehome")" = 755 ]
check [ "$(find "$root/etc" -type f | wc -l)" -eq 1 ]	# nothing half-made is left

run --uninstall
says removed
check [ ! -e "$dir" ]
run --uninstall
says 'is not there'

# A daemon that runs, as its pid file says: this shell stands in for it.
mkdir -p "$root/run"
echo $$ >"$root/run/libvirtd.pid"
run --hook "$hook"
says 'systemctl restart libvirtd'
run --hook "$hook"		# an update: the daemon has found a hook already
silent_on restart
run --uninstall

# Somebody else's hook stays, and makes a restart unnecessary.
mkdir -p "$dir"
printf '#!/bin/sh\n' >"$dir/other"
run --hook "$hook"
says 'restart'			# it is not executable, so libvirt did not count it
run --uninstall
chmod +x "$dir/other"
run --hook "$hook"
silent_on restart
run --uninstall
check [ -x "$dir/other" ]

fails_with 1 --hook /nonexistent
says '/nonexistent is not a program'
check [ ! -e "$dir/rehome" ]
fails_with 2 --frobnicate
says usage
fails_with 2 --hook
echo ok
