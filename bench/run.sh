#!/bin/sh
# Builds the programs and compares proxies: bench/run.sh [--quick] [--json FILE] (all options: --help).
# Needs wrk, nginx and haproxy (Debian: wrk nginx-light haproxy). BUILD names another build directory.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build/release}
[ -f "$build/build.ninja" ] || cmake -S "$root" -B "$build" -G Ninja >/dev/null
targets="rouse_relay shard_relay echo_upstream"
case " $* " in
*rouse*) targets="$targets rouse-proxy" ;;
*--proxies*) ;;
*) targets="$targets rouse-proxy" ;;
esac
# shellcheck disable=SC2086
ninja -C "$build" $targets >/dev/null
exec python3 "$root/bench/load/compare.py" --bin "$build/bin" "$@"
