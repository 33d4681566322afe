#!/usr/bin/env bash
# Public protocol suites against the running proxy: builds them (Go modules, pinned), runs conformance.py.
#   tests/conformance/run.sh                 everything
#   tests/conformance/run.sh h2spec grpc     some of it
# Needs a release build, Go and access to the Go module proxy at the first run.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/build/conformance
mkdir -p "$tools"
build() {  # FOLDER PACKAGE PROGRAM
  [ -x "$tools/$3" ] || (cd "tests/conformance/$1" && go build -o "$tools/$3" "$2")
}
build h2spec github.com/summerwind/h2spec/cmd/h2spec h2spec
build grpc google.golang.org/grpc/interop/client interop-client
build grpc google.golang.org/grpc/interop/server interop-server
exec python3 tests/conformance/conformance.py "$tools" "$@"
