#!/usr/bin/env bash
# Public protocol suites against the running proxy: installs them (pinned), runs conformance.py. Minutes, all bounded.
#   tests/conformance/run.sh                 everything
#   tests/conformance/run.sh h2spec grpc     some of it; --list names them
# Needs a release build; at the first run Go for h2spec and gRPC, a Python 2.7 for Autobahn's WebSocket suite
# (PYTHON2=... names it), and their package registries.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/build/conformance
mkdir -p "$tools"
build() {  # FOLDER PACKAGE PROGRAM
  [ -x "$tools/$3" ] || (cd "tests/conformance/$1" && go build -o "$tools/$3" "$2")
}
wants() {  # PREFIX SUITE ...: whether one of the suites begins so; without suites all are wanted
  local prefix=$1; shift
  [ $# -eq 0 ] && return 0
  for suite in "$@"; do case "$suite" in "$prefix"*) return 0 ;; esac; done
  return 1
}
if wants h2spec "$@"; then build h2spec github.com/summerwind/h2spec/cmd/h2spec h2spec; fi
if wants grpc "$@"; then
  build grpc google.golang.org/grpc/interop/client interop-client
  build grpc google.golang.org/grpc/interop/server interop-server
fi
if wants websocket "$@"; then tests/conformance/websocket/setup.sh "$tools/websocket"; fi
exec python3 tests/conformance/conformance.py "$tools" "$@"
