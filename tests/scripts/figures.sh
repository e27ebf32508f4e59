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
  short) recorder=(--cameras 100 --ffmpeg 10 --seconds 15) ;;
  full) recorder=() ;;
  *) echo 'usage: figures.sh short|full' >&2; exit 2 ;;
esac
target/release/figures recorder "${recorder[@]}"
