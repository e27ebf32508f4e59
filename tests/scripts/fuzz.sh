#!/usr/bin/env bash
# Runs the fuzzers of tests/fuzz and prints one figure for each. Needs nothing but cargo and a C++ compiler: libFuzzer is
# compiled with its crate, and the instrumentation is the compiler's own, so a stable toolchain does.
#   SECONDS_EACH  how long each runs (600)    TARGET  only this one    JOBS  processes of each (1)
# Exit code 1: something was found; its input lies in tests/fuzz/artifacts and is replayed by
#   fuzz.sh replay TARGET FILE
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
all=(segment_reader recovery catalogue journal archive_index wire)
seconds=${SECONDS_EACH:-600}
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code -Ccodegen-units=1)
target_dir=${FENGSUI_FUZZ_TARGET_DIR:-../../target/fuzz}

case "${1:-run}" in
  run) ;;
  replay) [ $# -eq 3 ] || { echo 'usage: fuzz.sh replay TARGET FILE' >&2; exit 2; } ;;
  *) echo 'usage: fuzz.sh [run | replay TARGET FILE]' >&2; exit 2 ;;
esac
if [ -n "${TARGET:-}" ]; then
  case " ${all[*]} " in
    *" $TARGET "*) all=("$TARGET") ;;
    *) echo "TARGET=$TARGET: there is no such target; there are ${all[*]}" >&2; exit 2 ;;
  esac
fi
[ "${1:-run}" = replay ] && file=$(cd "$OLDPWD" && realpath "$3")

# --target keeps the flags away from build scripts and macros.
RUSTFLAGS="${flags[*]}" cargo build --locked --release --quiet --target "$host" --target-dir "$target_dir" --bins
programs=$target_dir/$host/release
limits=(-rss_limit_mb=512 -timeout=5 -max_len=65536)

if [ "${1:-run}" = replay ]; then
  exec "$programs/$2" "${limits[@]}" "$file"
fi

figure() { # name value unit target verdict
  echo "FIGURE fuzz.$1 $2 $3 target $4 $5"
}
failed=0
mkdir -p artifacts "$target_dir/corpus" "$target_dir/log"
for target in "${all[@]}"; do
  # What is found on the way stays out of the committed seeds.
  grown=$target_dir/corpus/$target
  log=$target_dir/log/$target
  mkdir -p "$grown"
  began=$(ls artifacts | grep -c "^$target-" || true)
  code=0
  "$programs/$target" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="artifacts/$target-" "$grown" "corpus/$target" >"$log" 2>&1 || code=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
  cover=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1 | tr -dc 0-9 || true)
  if [ "$code" = 0 ]; then
    figure "$target.crashes" 0 count '<=0' ok
  elif [ "$code" = 72 ]; then
    # libFuzzer's own code for a signal from outside: nothing was found, and the time was not used up.
    failed=1
    echo "$target was interrupted before its $seconds s were over"
  else
    failed=1
    found=$(($(ls artifacts | grep -c "^$target-" || true) - began))
    figure "$target.crashes" $((found > 0 ? found : 1)) count '<=0' short
    tail -n 40 "$log"
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "replay with: tests/scripts/fuzz.sh replay $target ${input:+tests/fuzz/$input}"
  fi
  figure "$target.executions" "${runs:-0}" count none ok
  figure "$target.memory" "${peak:-0}" MiB '<=512' "$([ "${peak:-0}" -le 512 ] && echo ok || echo short)"
  figure "$target.edges" "${cover:-0}" count none ok
done
exit $failed
