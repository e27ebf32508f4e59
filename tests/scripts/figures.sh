#!/usr/bin/env bash
# Prints every figure as one line: FIGURE <name> <value> <unit> target <target> ok|short.
#   figures.sh short   a few minutes: fewer cameras, shorter runs
#   figures.sh full    what BENCHMARKS.md keeps
set -euo pipefail
cd "$(dirname "$0")/../.."
form=${1:-short}
tests/scripts/setup.sh test
tests/scripts/ui.sh
cargo build --locked --release -p fengsui-web -p fengsui-tests --bins

case $form in
  short)
    archive=(--segments 2 --seconds 60)
    recorder=(--cameras 20,100 --ffmpeg 10 --seconds 15 --floor-seconds 10)
    start=(--cameras 200)
    cut=10
    stall=(--cameras 50 --seconds 8 --budget-mib 64)
    latency=(--cameras 100 --watched 20 --seconds 10)
    fan_out=(--viewers 100 --cameras 50 --streams 20 --stalled 50 --slow 10 --seconds 10)
    memory=(--cameras 100 --seconds 30)
    search=(--searches 20)
    record=(--cameras 16 --minutes 0.5)
    kill=(--runs 10)
    write_path=(--files 200 --mib 4)
    catalogue=(--days 3)
    power=(--runs 5)
    campaigns=(FENGSUI_FLIPS=1000 FENGSUI_STEPS=20000 FENGSUI_QUERIES=2000)
    seeds=2000
    every=20
    cities=200
    acts=20000
    journals=50
    relay=(--events 5000 --seconds 10 --backlog 20 --alarms 50)
    faults=(FENGSUI_RUNS=3 FENGSUI_KILLS=3)
    ;;
  full)
    archive=()
    recorder=(--path default,retina)
    start=(--cameras 1400)
    cut=30
    stall=()
    latency=()
    fan_out=()
    memory=(--seconds 600)
    search=()
    record=(--cameras 16 --minutes 10)
    kill=(--runs 50)
    write_path=()
    catalogue=()
    power=(--runs 50)
    campaigns=(FENGSUI_FLIPS=10000 FENGSUI_STEPS=1000000 FENGSUI_QUERIES=100000)
    seeds=100000
    every=1
    cities=10000
    acts=1000000
    journals=1000
    relay=()
    faults=(FENGSUI_RUNS=200 FENGSUI_KILLS=20)
    ;;
  *) echo 'usage: figures.sh short|full' >&2; exit 2 ;;
esac

# What is not a figure goes to a log, so that the table can be read and kept.
mkdir -p .cache
log=.cache/figures.log
: >"$log"
failed=
figures() {
  local status
  set +e
  "$@" 2>>"$log" | tee -a "$log" | grep --line-buffered '^ *FIGURE'
  status=${PIPESTATUS[0]}
  set -e
  [ "$status" = 0 ] || { failed=yes; echo "figures: failed: $* (see $log)" >&2; }
}
figures target/release/figures camsim
figures target/release/figures recorder "${recorder[@]}"
figures target/release/figures cold-start "${start[@]}"
figures target/release/figures reconnect "${start[@]}" --cut "$cut"
figures target/release/figures stall "${stall[@]}"
figures target/release/figures latency "${latency[@]}"
figures target/release/figures fan-out "${fan_out[@]}"
figures target/release/figures memory "${memory[@]}"
figures target/release/figures search "${search[@]}"
figures target/release/figures archive "${archive[@]}"
figures target/release/figures wire
figures target/release/figures write-path "${write_path[@]}"
figures target/release/figures catalogue "${catalogue[@]}"
figures target/release/figures relay "${relay[@]}"
figures target/release/figures record "${record[@]}"
figures target/release/figures kill "${kill[@]}"
figures target/release/figures power "${power[@]}"
# The campaigns that need what is private to storage; each in its own words of the environment.
figures env "${campaigns[@]}" tests/scripts/campaign.sh storage scrub::flips
figures env "${campaigns[@]}" tests/scripts/campaign.sh storage nothing_held_is_deleted
figures env "${campaigns[@]}" tests/scripts/campaign.sh storage nothing_unplayable_is_shown
figures env FENGSUI_EVERY="$every" tests/scripts/campaign.sh storage every_call_may_fail
figures env FENGSUI_SEEDS="$seeds" tests/scripts/campaign.sh storage a_kill_at_any_call_costs
figures env FENGSUI_SEEDS="$seeds" tests/scripts/campaign.sh storage a_power_cut_at_any_call_costs
figures tests/scripts/campaign.sh storage crash_states::
figures env FENGSUI_SEEDS="$cities" tests/scripts/campaign.sh relay --exact city::the_city_loses_nothing city::a_county_forwards_for_its_stations
figures tests/scripts/campaign.sh relay city::scenes::
figures env FENGSUI_RUNS="$acts" tests/scripts/campaign.sh duty --exact sim::model::the_machines_do_what_the_model_does
figures env FENGSUI_SEEDS="$cities" tests/scripts/campaign.sh duty --exact sim::split::all_sides_converge_when_a_cut_link_heals
figures env FENGSUI_SEEDS="$journals" tests/scripts/campaign.sh duty two_computations_agree
figures tests/scripts/campaign.sh duty --ignored a_day_of_a_million_events
figures env "${faults[@]}" tests/scripts/campaign.sh suite relay_faults::
figures env FENGSUI_BIN="$PWD/target/release/fengsui" CAMSIM_BIN="$PWD/target/release/camsim" npm --prefix web/ui run --silent e2e
[ -z "$failed" ]
