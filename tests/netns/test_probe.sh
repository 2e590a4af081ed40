#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Proves the probe's counts: chosen packets are dropped, doubled and made late on the way, in both directions, and the
# report must name just those. Also: lost control messages, a socket buffer that overflows, a TCP stall, a restart.
# usage: test_probe.sh PROBE
#
#   peer  eth0 ---------------- eth0  guest     the way; each end's egress applies the faults
#         eth1 ---------------- eth1            where doubled and late packets come out; same MAC as eth0
#         hold0 - hold1   hold0 - hold1         late_frames.py takes them from hold1 and puts them on eth1
#
# shellcheck source=tests/lib/testlib.sh
. "$(dirname "$0")/../lib/testlib.sh"
probe=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
requires "$probe" --help
requires jq --version
requires nft --version
requires ip netns list

rate=20000		# packets/s each way
lost='100, 200-209, 10000-13999'	# 4011 numbers in 3 runs; the last is 200 ms, or 100 ms when catching up
doubled='300, 301, 15000'
late='500-502'
release=2500		# the late ones come out when this one has been sent

work=$(mktemp -d)
on_exit "rm -rf '$work'"
host_add peer
host_add guest

link_add() {	# DEVICE: in both hosts, joined
	ip -n "peer-$$" link add "$1" mtu 9000 type veth peer name "$1" mtu 9000 netns "guest-$$"
	ip -n "peer-$$" link set "$1" address 02:00:00:00:00:01 addrgenmode none up
	ip -n "guest-$$" link set "$1" address 02:00:00:00:00:02 addrgenmode none up
}

host_setup() {	# HOST NUMBER
	in_host "$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
	ip -n "$1-$$" address add "192.0.2.$2/24" dev eth0
	ip -n "$1-$$" address add "2001:db8::$2/64" dev eth0 nodad
	ip -n "$1-$$" link add hold0 mtu 9000 type veth peer name hold1 mtu 9000
	ip -n "$1-$$" link set hold0 up
	ip -n "$1-$$" link set hold1 up
}

# The number is 8 bytes into the UDP payload; "data" and "control" tell the probe's messages apart (probe_wire.h).
data='@th,64,24 0x727010'
control='@th,64,20 0x72701 @th,84,4 != 0'
faults() {	# HOST PORT-EXPRESSION RULES...
	host=$1; port=$2; shift 2
	{
		echo "table netdev faults"
		echo "delete table netdev faults"
		echo "table netdev faults { chain out { type filter hook egress device eth0 priority 0"
		for rule; do echo "$port $rule"; done
		echo "}; }"
	} | in_host "$host" nft -f -
}
both_faults() {	# RULES...
	faults peer 'udp dport 7000' "$@"
	faults guest 'udp sport 7000' "$@"
}
no_faults() {
	both_faults
}

background() {	# NAME HOST COMMAND...: output in $work/NAME; its pid in $pid
	output=$work/$1; namespace=$2-$$; shift 2
	: >"$output"	# at once: others look for lines in it
	ip netns exec "$namespace" "$@" >"$output" 2>"$output.err" &
	pid=$!
	on_exit "kill -KILL $pid 2>/dev/null"
}

serve() {
	background serve guest "$probe" serve
	serve_pid=$pid
	wait_until 10 serves
}
serves() { in_host guest ss -Hlnut 'sport = :7000' | grep -q tcp; }

late_start() {	# HOST
	background "late-$1" "$1" /usr/bin/python3 "$here/late_frames.py" hold1 eth1 "$release"
	wait_until 10 grep -q ready "$work/late-$1"
}

check() {	# TEXT JQ-EXPRESSION: on the last report
	jq -e "$2" "$work/report" >/dev/null && return
	echo "FAIL: $1: not so: $2"
	jq -c . "$work/report"
	exit 1
}

# Nothing but the faults that were made may show.
check_clean() {	# DIRECTION
	check "$1" ".$1 | .socket_drops == 0 and .uncounted == 0 and .unexpected == 0 and .bad == 0"
	check "$1" ".$1 | .sent == .received + .lost"
}

# A crowded machine loses packets of its own: the kernel counts them (in all namespaces), and such a run says nothing.
# It is decided by that alone, before any figure is looked at, and done again; a machine that is never calm is a failure.
ATTEMPTS=8
undisturbed() {	# CRITERION COMMAND...: which leaves a report
	criterion=$1; shift
	attempt=1
	until "$@" && jq -e ".complete and ($criterion)" "$work/report" >/dev/null; do
		check 'all counted' .complete
		echo "   disturbed: $(jq -c '[.down, .up | {socket_drops, backlog_drops}]' "$work/report")"
		[ "$attempt" -lt "$ATTEMPTS" ] || { echo "FAIL: this machine loses packets itself"; exit 1; }
		attempt=$((attempt + 1))
	done
}
no_backlog='.up.backlog_drops == 0 and .down.backlog_drops == 0'

rules=:		# what to do before each attempt
run_once() {	# ADDRESS OPTIONS...
	to=$1; shift
	$rules
	in_host peer "$probe" run --to "$to" --pps "$rate" --json "$@" >"$work/report"
}
run() {		# ADDRESS OPTIONS...
	echo "== run $*"
	undisturbed "$no_backlog and .up.socket_drops == 0 and .down.socket_drops == 0" run_once "$@"
}

# --- 1. Nothing is wrong: nothing is found. ---
link_add eth0
link_add eth1
host_setup peer 1
host_setup guest 2
late_start peer
late_start guest
serve
no_faults
for address in 192.0.2.2 2001:db8::2; do
	run "$address" --seconds 2 --tcp
	check 'exact pace' '.down.sent == 40000'
	for way in down up; do
		check_clean $way
		check $way ".$way | .sent > 0 and .lost == 0 and .duplicated == 0 and .reordered == 0"
	done
	check tcp '.tcp.alive and .tcp.echoes > 500 and .tcp.echoes == .tcp.asked'
done
check 'size is raised on IPv6' '.frame_size == 84 and .payload == 22'

# --- 2. Chosen packets are dropped, doubled and late: just these are found. ---
both_faults "$data @th,128,32 { $lost } drop" \
	"$data @th,128,32 { $doubled } dup to eth1" \
	"$data @th,128,32 $release dup to hold0" \
	"$data @th,128,32 { $late } fwd to hold0" \
	"$data @th,128,32 >= 20000 drop"
for address in 192.0.2.2 2001:db8::2; do
	for size in 64 1400; do
		run "$address" --seconds 2 --size $size
		check 'exact pace' '.down.sent == 40000'
		for way in down up; do
			check_clean $way
			check $way ".$way | .sent > 20000 and .lost == 4011 + .sent - 20000"
			check $way ".$way | .lost_ranges[:3] == [[100, 100], [200, 209], [10000, 13999]]"
			check $way ".$way | .lost_ranges[3:] == [[20000, .sent - 1]]"
			check $way ".$way | .duplicated == 3 and .duplicated_list == [300, 301, 15000]"
			check $way ".$way | .reordered == 3 and .reordered_list == [500, 501, 502]"
			check $way ".$way | any(.events[]; .after_seq == 9999 and .ms > 40 and .sender_ms > 40)"
			check $way ".$way.longest_gap_ms > 40"
		done
		# The up stream is silent then, too: what it told last may be some packets old.
		check 'the gap is also seen here' \
			'any(.down.host.events[]; .after_seq > 9000 and .after_seq < 10000 and .ms > 40)'
	done
done

# --- 3. Every 997th packet, whatever its number: as many are lost as the kernel counted. ---
counted() {	# HOST
	in_host "$1" nft -j list chain netdev faults out | jq '[.. | .counter? // empty | .packets?] | add'
}
every_997th() { both_faults "$data numgen inc mod 997 996 counter drop"; }
rules=every_997th
run 2001:db8::2 --seconds 2
rules=:
check_clean down
check_clean up
check down ".down.lost == $(counted peer) and .down.lost == 40"
check up ".up.lost == $(counted guest) and .up.lost > 0"

# --- 4. Flows are judged each for itself. ---
both_faults "$data @th,128,32 { 7, 100-104 } drop" \
	"$data @th,128,32 { 300, 301 } dup to eth1" \
	"$data @th,128,32 $release dup to hold0" \
	"$data @th,128,32 { $late } fwd to hold0"
for address in 192.0.2.2 2001:db8::2; do
	run "$address" --seconds 1 --flows 5
	check 'exact pace' '.down.sent == 20000'
	for way in down up; do
		check_clean $way
		check $way ".$way | .lost == 30 and .duplicated == 10 and .reordered == 15"
		check $way ".$way | .lost_ranges == [range(5) as \$f | [7, 7, \$f], [100, 104, \$f]]"
		check $way ".$way | .duplicated_list == [range(5) as \$f | [300, 301][] | [., \$f]]"
		check $way ".$way | .reordered_list == [range(5) as \$f | [500, 501, 502][] | [., \$f]]"
	done
done

# --- 5. Half of the control messages are lost, the rest doubled: the figures are the same. ---
both_faults "$control numgen inc mod 2 0 counter drop" "$control dup to eth1" \
	"$data @th,128,32 { $lost } drop"
for address in 192.0.2.2 2001:db8::2; do
	run "$address" --seconds 1 --tcp
	for way in down up; do
		check_clean $way
		check $way ".$way | .lost == 4011 and .duplicated == 0 and .reordered == 0"
	done
done
[ "$(counted peer)" -gt 3 ] || { echo "FAIL: no control message was dropped"; exit 1; }

# --- 6. What the guest's own socket dropped is told as such. ---
progress() {	# SECONDS: whether the run of background() is that far
	grep -q "^probe: $1\." "$work/run.err"
}
no_faults
overflow() {
	background run peer "$probe" run --to 192.0.2.2 --pps 60000 --up-pps 1000 --seconds 5 --json --progress
	run_pid=$pid
	wait_until 20 progress 1
	kill -STOP "$serve_pid"
	wait_until 20 progress 4	# 180,000 packets meanwhile: twice what the buffer holds
	kill -CONT "$serve_pid"
	wait "$run_pid"
	cp "$work/run" "$work/report"
}
undisturbed "$no_backlog" overflow
# Signs of life, one a second, may have been dropped beside the packets.
check 'drops told' '.down.lost > 0 and (.down.socket_drops - .down.lost | . >= 0 and . <= 4)'
check 'the late sender told it' '.up.skipped > 0 and .up.lost == 0'
check 'the silence is seen here' '.up.longest_gap_ms > 2000 and .down.host.longest_gap_ms > 2000'

# --- 7. A TCP stall is timed, its retransmission timeouts counted; the connection lives on. ---
stall() {
	background run peer "$probe" run --to 2001:db8::2 --pps 100 --seconds 6 --tcp --json --progress
	run_pid=$pid
	wait_until 20 progress 1
	faults guest 'tcp sport 7000' drop	# not at the peer: TCP treats a drop on its own host apart
	wait_until 20 progress 3
	no_faults
	wait "$run_pid"
	cp "$work/run" "$work/report"
}
undisturbed "$no_backlog" stall
check tcp '.tcp | .alive and .echoes == .asked and .longest_stall_ms > 1500 and .retransmissions > 0'
check tcp '.tcp | .timeouts > 0 and any(.events[]; .ms > 1500)'
check 'UDP went on' '.down.lost == 0 and .up.lost == 0'

# --- 8. A restarted guest is no guest that counted zero. ---
background run peer "$probe" run --to 192.0.2.2 --pps 1000 --tcp --json --progress
run_pid=$pid
wait_until 20 progress 1
kill -KILL "$serve_pid"
wait "$serve_pid" || true
serve
if wait "$run_pid"; then echo "FAIL: the run claims success"; exit 1; fi
cp "$work/run" "$work/report"
check 'said to be incomplete' '(.complete | not) and (.error | test("restarted"))'
check 'no figure is made up' '.down.sent > 0 and (.down | has("lost") | not) and (.up | has("lost") | not)'
check 'the connection died' '.tcp.alive | not'

# --- 9. SIGINT ends a run in order. ---
interrupt() {
	background run peer "$probe" run --to 2001:db8::2 --pps 1000 --up-pps 0 --json --progress
	run_pid=$pid
	wait_until 20 progress 1
	kill -INT "$run_pid"
	wait "$run_pid"
	cp "$work/run" "$work/report"
}
undisturbed "$no_backlog" interrupt
check 'all counted' '.complete and .down.lost == 0 and .down.sent >= 1000 and .up.sent == 0'

# --- 10. INFO over TCP. ---
in_host peer /usr/bin/python3 -c '
import socket, sys
s = socket.create_connection(("192.0.2.2", 7000), 10)
s.sendall(b"INFO\nNONSENSE\nINFO\n")
lines = s.makefile()
first, error, second = (lines.readline() for _ in range(3))
assert error == "unknown command\n" and second.startswith("{"), (error, second)
sys.stdout.write(first)' >"$work/report"
dropped=$(in_host guest cat /sys/class/net/eth0/statistics/rx_dropped)
check INFO ".uptime_us > 0 and .eth0.rx_packets > 0 and .eth0.rx_dropped == $dropped"

echo "all as it must be"
