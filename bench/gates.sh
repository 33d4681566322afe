#!/bin/sh
# What one warm request costs in system calls, instructions and allocations, against bench/gates.json.
#   bench/gates.sh            exits 1 where a figure moved by more than 1 %
#   bench/gates.sh --record   writes the file: the change that moves a figure says why in its commit
# One at a time on a machine: valgrind's control programs ask every process that runs under it.
# BUILD names another build directory; rouse-proxy, echo_upstream and paced_client must be built there.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build/release}
exec flock --wait 900 "${TMPDIR:-/tmp}/rouse-gates-$(id -u).lock" env PYTHONDONTWRITEBYTECODE=1 python3 "$root/bench/load/gates.py" --bin "$build/bin" \
  --recorded "$root/bench/gates.json" "$@"
