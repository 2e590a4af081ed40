# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# testlib.sh - source it first: sets -eu, undoes everything at exit, newest first.
set -eu
undo=''
on_exit() { undo="$*
$undo"; }
# shellcheck disable=SC2154 # the trap's own text sets both
trap 'status=$?; set +e; printf %s "$undo" | while read -r command; do eval "$command"; done; exit $status' EXIT
trap 'exit 130' INT TERM
requires() { "$@" >/dev/null 2>&1 || { echo "SKIP: '$*' does not work here"; exit 77; }; }
wait_until() {	# SECONDS COMMAND...
	deadline=$(($(date +%s) + $1)); shift
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || { echo "TIMEOUT: $*"; return 1; }
	done
}
host_add() { ip netns add "$1-$$"; on_exit ip netns del "$1-$$"; ip -n "$1-$$" link set lo up; }
in_host() { host=$1; shift; ip netns exec "$host-$$" "$@"; }
fdb_has() {	# HOST DEVICE MAC VTEP
	in_host "$1" bridge -j fdb show dev "$2" |
		jq -e --arg m "$3" --arg d "$4" 'any(.[]; .mac == $m and .dst == $d)' >/dev/null
}
