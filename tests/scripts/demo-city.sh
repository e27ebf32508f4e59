#!/usr/bin/env bash
# A city of several nodes on one machine: a message server, one centre, three sub-centres with 16 simulated cameras each,
# and between each sub-centre and the centre a line that tests/scripts/city-link.sh cuts and heals. Ctrl-C stops
# everything cleanly. What was recorded stays in ./demo-city-data.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=demo-city-data
profile=${PROFILE:-release} # PROFILE=dev builds quicker and costs more to run
nodes=(kecheng qujiang changshan)
places=(33080200002000000001 33080300002000000001 33082200002000000001)
each=${CAMERAS:-16} # for each sub-centre

tests/scripts/setup.sh city
tests/scripts/ui.sh
echo 'demo-city: building (the first time takes some minutes)'
cargo build --locked --profile "$profile" -p fengsui-web -p fengsui-tests --bins
bin=${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")
nats=$(command -v .cache/venv/bin/nats-server nats-server | head -n 1)

# Each in a process group of its own: Ctrl-C comes to this script alone, which stops them in order.
set -m
pids=()
started=
stop() {
  trap '' INT TERM
  # The last started ends first: sub-centres, lines, message server, centre, cameras.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true
  done
  pids=()
  rm -f "$data/control"
}
trap 'echo; echo "demo-city: stopping"; stop; echo "demo-city: stopped; the recordings are in ./$data"; exit 0' INT TERM
trap stop EXIT

start() { # NAME COMMAND...: in the background, with its words in the log
  local name=$1
  shift
  "$@" >"$data/log/$name.out" 2>"$data/log/$name.log" &
  started=$!
  pids+=("$started")
}
free_port() { # FIRST: the first free port from there on that was not given before
  port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || [[ " ${given[*]} " == *" $port "* ]]; do port=$((port + 1)); done
  given+=("$port")
}
given=()
wait_for() { # TEXT NAME: until a line of NAME's output begins with TEXT, as long as it lives and for at most ten minutes
  for _ in $(seq 6000); do
    grep -q "^$1" "$data/log/$2.out" 2>/dev/null && return 0
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
  done
  echo "demo-city: $2 failed; the end of its log:" >&2
  tail -n 20 "$data/log/$2.log" >&2
  return 1
}
word_of() { # TEXT NAME: the rest of the line that begins with TEXT
  sed -n "s/^$1 //p" "$data/log/$2.out" | head -n 1
}

mkdir -p "$data/log"
free_port 8554; rtsp=$port
free_port 8600; control=$port
free_port 8080; http=$port
free_port 8443; https=$port
free_port 4222; server=$port

echo "demo-city: starting camsim with $((each * ${#nodes[@]})) cameras (the first time it makes their pictures)"
start camsim "$bin"/camsim --cameras $((each * ${#nodes[@]})) --clips 8 --main 640x360@12:400 --sub 320x180@8:120 \
  --rtsp "127.0.0.1:$rtsp" --control "127.0.0.1:$control"
wait_for LISTENING camsim

# One made-up city; each node gets the places of all and the cameras of its own. The centre has all cameras by name and
# reads none of them.
city=$data/city
"$bin"/fengsui city new "$city" --force >"$data/log/city.out"
blocks() { # SELECT: cameras of the city, block by block, through an awk program that prints those wanted
  awk -v RS='\\[\\[camera\\]\\]\n' "$@" "$city/cameras.toml"
}
choose='
  NR > 1 {
    match($0, /site = "[0-9]+"/); unit = substr($0, RSTART + 8, 8)
    if (!(unit in of) || taken[of[unit]] == each) next
    node = of[unit]; n = ++taken[node]
    gsub(/\/cam\/[0-9]+\//, "/cam/" (node * each + n) "/")
    gsub(/127\.0\.0\.1:8554/, "127.0.0.1:" rtsp)
    if (wanted == "all") printf "[[camera]]\nenabled = false\n%s", $0
    else if (wanted == node) printf "[[camera]]\n%s", $0
  }'
# The stations of the three sub-centres: the first eight digits of their codes are those of their cameras.
stations=$(awk -v RS='' -v places="${places[*]}" '
  BEGIN { split(places, place, " ") }
  /^\[\[station\]\]/ { for (i in place) if (index($0, "sub_centre = \"" place[i] "\"")) { match($0, /code = "[0-9]+"/); print substr($0, RSTART + 8, 8) "=" (i - 1) } }' "$city/city.toml" | tr '\n' ' ')
cameras_of() { # WANTED: all, or the number of a node
  blocks -v wanted="$1" -v each="$each" -v rtsp="$rtsp" -v stations="$stations" \
    "BEGIN { n = split(stations, s, /[ \\n]+/); for (i = 1; i <= n; i++) { split(s[i], two, \"=\"); of[two[1]] = two[2] } } $choose"
}

configure() { # FOLDER NODE CAMERAS WEB RELAY: a node's configuration
  mkdir -p "$data/$1/footage"
  cp "$city/city.toml" "$data/$1/city.toml"
  cameras_of "$3" >"$data/$1/cameras.toml"
  cat >"$data/$1/fengsui.toml" <<TOML
include = ["city.toml", "cameras.toml"]

[node]
id = "$2"
data = "data"

[web]
$4

[storage]
ring_budget_mib = 256

[[storage.volume]]
id = "v1"
path = "footage"
reserve_mib = 1024

[relay]
$5
TOML
}

configure centre centre all "listen = [\"127.0.0.1:$http\"]
tls_listen = [\"127.0.0.1:$https\"]" "listen = \"127.0.0.1:$server\"
public_names = [\"127.0.0.1\"]"
echo 'demo-city: starting the centre, its message server and the lines to it'
start centre "$bin"/fengsui run --config "$data/centre/fengsui.toml"
wait_for LISTENING centre
for _ in $(seq 100); do [ -s "$data/centre/data/relay/users.conf" ] && break; sleep 0.1; done
start nats "$nats" -c "$data/centre/data/relay/server.conf"
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null && break; sleep 0.1; done
(exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null || { echo "demo-city: the message server does not start; see $data/log/nats.log" >&2; exit 1; }
start citylink "$bin"/citylink --target "127.0.0.1:$server" --lines ${#nodes[@]}
wait_for CONTROL citylink
word_of CONTROL citylink >"$data/control"

for i in "${!nodes[@]}"; do
  node=${nodes[i]}
  free_port $((8081 + i))
  configure "$node" "$node" "$i" "listen = [\"127.0.0.1:$port\"]" "centre = \"tls://$(word_of "LINE $((i + 1))" citylink)\""
  if [ ! -s "$data/$node/data/relay/centre.crt" ]; then
    # From the centre to the node through a pipe: a token stands on no command line and in no file.
    sed -n 's/^code = "\(.*\)"$/\1/p' "$data/$node/cameras.toml" >"$data/$node/cameras.txt"
    "$bin"/fengsui node --config "$data/centre/fengsui.toml" invite "$node" --cameras-from "$data/$node/cameras.txt" |
      tail -n 1 | "$bin"/fengsui node --config "$data/$node/fengsui.toml" enrol --centre "https://127.0.0.1:$https"
  fi
  start "$node" "$bin"/fengsui run --config "$data/$node/fengsui.toml"
  wait_for LISTENING "$node"
done

show() { # NAME TITLE
  printf '  %-22s %s\n' "$2" "$(word_of LISTENING "$1")"
  for _ in $(seq 20); do grep -q '^SETUP TOKEN' "$data/log/$1.out" && break; sleep 0.1; done
  if grep -q '^SETUP TOKEN' "$data/log/$1.out"; then printf '  %-22s token: %s\n' '' "$(word_of 'SETUP TOKEN' "$1")"; fi
}
echo
show centre 'centre'
for i in "${!nodes[@]}"; do show "${nodes[i]}" "$((i + 1)) ${nodes[i]}"; done
cat <<TEXT
  (each token is asked for once, to make the first administrator; later log in with the account that you made)
  At the centre open nodes and links (节点与链路, Alt+8) and events (事件). In another terminal:
    tests/scripts/city-link.sh cut 2     the line of ${nodes[1]}: it records on and is gone at the centre
    tests/scripts/city-link.sh heal 2    what happened meanwhile comes, once and in order
  logs: $data/log; all cameras together write about 10 GB an hour to ./$data
  Ctrl-C stops everything
TEXT

# Ends when any process does; Ctrl-C comes in by the trap.
wait -n "${pids[@]}" || true
echo "demo-city: a process ended by itself; see $data/log" >&2
exit 1
