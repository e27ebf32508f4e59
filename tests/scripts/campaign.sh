#!/usr/bin/env bash
# Runs one campaign of the fault kit (tests/FAULTS.md) and prints its figures and, on failure, what replays it.
#   campaign.sh figures ARGUMENTS   a scenario of the figures program
#   campaign.sh storage TEST        tests of the storage crate whose names contain TEST
#   campaign.sh ingest TEST         the same of the ingest crate
#   campaign.sh relay TEST          the same of the relay crate, in the release build
#   campaign.sh duty TEST           the same of the duty crate, in the release build
#   campaign.sh suite TEST          the same of the suite, whose nodes and servers are real processes
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=$1
shift
case $kind in
  figures)
    tests/scripts/setup.sh test
    tests/scripts/ui.sh
    cargo build --locked --release -p fengsui-web -p fengsui-tests --bins
    target/release/figures "$@"
    ;;
  storage | ingest | relay | duty | suite)
    # The output of a test that passes is its figures; of one that fails, everything.
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # The same build as that of `make test`, which is optimised a little; ten thousand cities want the release build.
    case $kind in
      suite)
        tests/scripts/setup.sh test
        tests/scripts/ui.sh
        cargo build --locked -p fengsui-web --bin fengsui
        what=(-p fengsui-tests --test suite)
        ;;
      relay | duty) what=(--release -p "fengsui-$kind" --lib) ;;
      *) what=(-p "fengsui-$kind" --lib) ;;
    esac
    if cargo test --locked "${what[@]}" -- --nocapture "$@" >"$log" 2>&1; then
      grep -a '^FIGURE' "$log"
    else
      tail -n 200 "$log"
      exit 1
    fi
    ;;
  *) echo 'usage: campaign.sh figures|storage|ingest|relay|duty|suite ARGUMENTS' >&2; exit 2 ;;
esac
