#!/usr/bin/env bash
# Installs the peers, builds the programs, measures, prints one table.
#   bench/run.sh [--quick] [--case NAME[,..]] [--peer NAME[,..]] [--list] [--json FILE]    (all: --help)
# BUILD names another build directory, PEERS another place for tools that are no Debian packages.
# As root it runs in network and mount namespaces of its own: no port of the machine is in the way.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build/release}
tools=${PEERS:-$root/build/peers}

mkdir -p "$build" "$tools/bin"
case " $* " in
  *" --list "* | *" --help "* | *" -h "*) ;;
  *)
    "$root/third_party/install.sh" build bench
    "$root/bench/peers.sh" "$tools"
    [ -f "$build/build.ninja" ] || cmake -S "$root" -B "$build" -G Ninja >"$build/configure.log" 2>&1 ||
      { cat "$build/configure.log" >&2; exit 1; }
    echo "building" >&2
    ninja -C "$build" rouse_relay shard_relay echo_upstream paced_client rouse-proxy >"$tools/build.log" 2>&1 ||
      { tail -30 "$tools/build.log" >&2; exit 1; }
    ;;
esac
commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
run=(env PYTHONDONTWRITEBYTECODE=1 python3 "$root/bench/load/driver.py" --bin "$build/bin" --tools "$tools"
  --commit "$commit" "$@")
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
if [ "$(id -u)" = 0 ] && unshare --net --mount true 2>/dev/null; then
  exec unshare --net --mount sh -c 'ip link set lo up && exec "$@"' sh "${run[@]}"
fi
exec "${run[@]}"
