#!/usr/bin/env bash
# Public protocol suites against the running proxy: builds our programs, installs the suites (pinned), runs conformance.py.
# Minutes, all bounded.
#   tests/conformance/run.sh                 everything
#   tests/conformance/run.sh h2spec grpc     some of it; --list names them
# Needs, at the first run, Go for h2spec and gRPC, a Python 2.7 for Autobahn's WebSocket suite (PYTHON2=... names it), and
# their package registries. TEST_BIN=... names programs that are built already.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/build/conformance
mkdir -p "$tools"
build() {  # FOLDER PACKAGE PROGRAM
  [ -x "$tools/$3" ] && return
  command -v go >/dev/null || { echo "run.sh: $3 is built with Go: put \`go\` on the PATH" >&2; exit 2; }
  (cd "tests/conformance/$1" && go build -o "$tools/$3" "$2")
}
wants() {  # PREFIX SUITE ...: whether one of the suites begins so; without suites all are wanted
  local prefix=$1; shift
  [ $# -eq 0 ] && return 0
  for suite in "$@"; do case "$suite" in "$prefix"*) return 0 ;; esac; done
  return 1
}
programs=(rouse-proxy rouse-autoscaler rouse-local sample-hello)
if [ -n "${TEST_BIN:-}" ]; then
  for program in "${programs[@]}"; do
    [ -x "$TEST_BIN/$program" ] || { echo "run.sh: $TEST_BIN has no $program" >&2; exit 2; }
  done
elif [ "${1:-}" != --list ]; then
  third_party/install.sh build test
  [ -f build/release/build.ninja ] || cmake -S . -B build/release -G Ninja >build/configure.log 2>&1 ||
    { cat build/configure.log >&2; exit 1; }
  ninja -C build/release --quiet "${programs[@]}"
fi
if wants h2spec "$@"; then build h2spec github.com/summerwind/h2spec/cmd/h2spec h2spec; fi
if wants grpc "$@"; then
  build grpc google.golang.org/grpc/interop/client interop-client
  build grpc google.golang.org/grpc/interop/server interop-server
fi
if wants websocket "$@"; then tests/conformance/websocket/setup.sh "$tools/websocket"; fi
exec python3 tests/conformance/conformance.py "$tools" "$@"
