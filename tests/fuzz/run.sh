#!/usr/bin/env bash
# Runs every fuzz target for SECONDS from its corpus, one per core at a time; fails on the first crash.
#   tests/fuzz/run.sh BUILD_DIR SECONDS
# What the fuzzers find new goes to BUILD_DIR/fuzz-found, never into the repository's small corpora.
set -euo pipefail
build=${1:?build directory, such as build/fuzz} seconds=${2:?seconds for each target}
cd "$(dirname "$0")/../.."
found=$build/fuzz-found
targets=("$build"/bin/fuzz_*)
[ -x "${targets[0]}" ] || { echo "run.sh: no fuzz targets in $build/bin" >&2; exit 1; }

run_one() {
  local target=$1 name corpus log
  name=$(basename "$target"); name=${name#fuzz_}
  corpus=tests/fuzz/corpus/$name
  mkdir -p "$found/$name"; log=$found/$name.log
  if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$found/$name-" "$found/$name" $([ -d "$corpus" ] && echo "$corpus") >"$log" 2>&1; then
    tail -40 "$log" >&2
    echo "fuzz: $name failed; input under $found" >&2
    return 1
  fi
  echo "fuzz: $name: $(grep -o 'number_of_executed_units: [0-9]*' "$log" | grep -o '[0-9]*') executions, 0 crashes"
}
export -f run_one
export found seconds
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_one {}'
