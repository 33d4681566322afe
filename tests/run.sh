#!/usr/bin/env bash
# Installs what is needed, builds release, runs every test. The runner's summary line comes last.
#   tests/run.sh            everything
#   tests/run.sh -R sim     what ctest takes: here, only the runners whose names match
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build
third_party/install.sh build test
cmake -S . -B build/release -G Ninja >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
ninja -C build/release
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
exec ctest --test-dir build/release --output-on-failure --timeout 600 "$@"
