#!/usr/bin/env bash
# A city on one machine: the camera simulator with 16 cameras, main and sub, and one node that records and shows
# them, as two real processes. Ctrl-C stops both cleanly. What was recorded stays in ./demo-data.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=demo-data
cameras=${CAMERAS:-16}
profile=${PROFILE:-release} # PROFILE=dev builds quicker and costs more to run

tests/scripts/setup.sh build
tests/scripts/ui.sh
echo 'demo: building (the first time takes some minutes)'
cargo build --locked --profile "$profile" -p fengsui-web -p fengsui-tests --bins
bin=target/$([ "$profile" = dev ] && echo debug || echo "$profile")

# Each in a process group of its own: Ctrl-C comes to this script alone, which stops them in order.
set -m
camsim_pid= node_pid=
stop() {
  trap '' INT TERM
  for pid in $node_pid $camsim_pid; do
    kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
  done
  node_pid= camsim_pid=
}
trap 'echo; echo "demo: stopping"; stop; echo "demo: stopped; the recordings are in ./$data"; exit 0' INT TERM
trap stop EXIT

free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}
wait_for() { # TEXT LOG PID: until a line of LOG begins with TEXT, as long as PID lives and for at most ten minutes
  for _ in $(seq 6000); do
    grep -q "^$1" "$2" 2>/dev/null && return 0
    kill -0 "$3" 2>/dev/null || break
    sleep 0.1
  done
  echo "demo: failed; see $2:" >&2
  tail -n 20 "$2" >&2
  return 1
}

mkdir -p "$data/log"
rtsp=$(free_port 8554)
control=$(free_port 8600)
http=$(free_port 8080)

echo "demo: starting camsim with $cameras cameras (the first time it makes their pictures)"
"$bin"/camsim --cameras "$cameras" --rtsp "127.0.0.1:$rtsp" --control "127.0.0.1:$control" \
  >"$data/log/camsim.out" 2>"$data/log/camsim.log" &
camsim_pid=$!
wait_for LISTENING "$data/log/camsim.out" "$camsim_pid"

"$bin"/fengsui city new "$data" --force --cameras "$cameras" --listen "127.0.0.1:$http" --reserve-mib 1024 \
  --rtsp "rtsp://127.0.0.1:$rtsp/cam/{n}/{stream}"
"$bin"/fengsui run --config "$data/fengsui.toml" \
  >"$data/log/fengsui.out" 2>"$data/log/fengsui.log" &
node_pid=$!
wait_for LISTENING "$data/log/fengsui.out" "$node_pid"

echo
sed -n 's/^LISTENING /  open:  /p' "$data/log/fengsui.out"
# The token follows at once, if there is one.
for _ in $(seq 20); do grep -q '^SETUP TOKEN' "$data/log/fengsui.out" && break; sleep 0.1; done
if grep -q '^SETUP TOKEN' "$data/log/fengsui.out"; then
  sed -n 's/^SETUP TOKEN /  token: /p' "$data/log/fengsui.out"
  echo '         (asked for once, to make the first administrator)'
else
  echo '  log in with the account that you made before'
fi
echo "  logs:  $data/log; $cameras cameras at 2 Mbit/s write about $((cameras * 9 / 10)) GB an hour to ./$data"
echo '  Ctrl-C stops everything'

# Ends when either process does; Ctrl-C comes in by the trap.
wait -n "$camsim_pid" "$node_pid" || true
echo "demo: a process ended by itself; see $data/log" >&2
exit 1
