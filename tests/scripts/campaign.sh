#!/usr/bin/env bash
# Runs one campaign of the fault kit (tests/FAULTS.md) and prints its figures and, on failure, what replays it.
#   campaign.sh figures ARGUMENTS   a scenario of the figures program
#   campaign.sh storage TEST        tests of the storage crate whose names contain TEST
#   campaign.sh ingest TEST         the same of the ingest crate
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
  storage | ingest)
    # The output of a test that passes is its figures; of one that fails, everything.
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # The same build as that of `make test`; it is optimised.
    if cargo test --locked -p "fengsui-$kind" --lib -- --nocapture "$@" >"$log" 2>&1; then
      grep -a '^FIGURE' "$log"
    else
      tail -n 200 "$log"
      exit 1
    fi
    ;;
  *) echo 'usage: campaign.sh figures|storage|ingest ARGUMENTS' >&2; exit 2 ;;
esac
