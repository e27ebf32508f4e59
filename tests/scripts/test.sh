#!/usr/bin/env bash
# Everything that must hold before a change is done. The order matters: the browser's part is built before cargo
# puts it into the binary.
set -euo pipefail
cd "$(dirname "$0")/../.."
step() { printf '\n== %s\n' "$*"; }

step 'setup'
tests/scripts/setup.sh test

step 'browser part: build, types, unit tests'
tests/scripts/ui.sh
(cd web/ui && npm run --silent check && npm test --silent)

step 'format'
cargo fmt --all -- --check

step 'lints'
cargo clippy --locked --workspace --all-targets -- -D warnings

step 'without GStreamer and FFmpeg, and with one of them'
cargo clippy --locked -p fengsui-web --no-default-features -- -D warnings
cargo clippy --locked -p fengsui-web --no-default-features --features gst -- -D warnings
cargo clippy --locked -p fengsui-web --no-default-features --features ffmpeg -- -D warnings

step 'tests'
# The suite and the browser tests start the programs themselves. Programs and tests in one go share their dependencies.
cargo build --locked --workspace --bins --tests
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace
else
  echo 'cargo-nextest is not installed: using cargo test'
  cargo test --locked --workspace
fi
cargo test --locked --workspace --doc --quiet

step 'licences and advisories'
if cargo deny --version >/dev/null 2>&1; then
  cargo deny --locked check
else
  echo 'SKIPPED: cargo-deny is not installed (cargo install --locked cargo-deny)'
fi

step 'browser tests'
(cd web/ui && npm run --silent e2e)

printf '\nall good\n'
