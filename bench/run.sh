#!/bin/sh
# Builds the programs and compares proxies: bench/run.sh [--quick] [--json FILE] (all options: --help).
# Needs wrk, nginx and haproxy (Debian: wrk nginx-light haproxy). BUILD names another build directory.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build/release}
[ -f "$build/build.ninja" ] || cmake -S "$root" -B "$build" -G Ninja >/dev/null
case " $* " in
*" --proxies "*) targets="rouse_relay echo_upstream" ;;
*) targets="rouse_relay echo_upstream rouse-proxy" ;;
esac
case " $* " in *rouse*) targets="rouse_relay echo_upstream rouse-proxy" ;; esac
# shellcheck disable=SC2086
ninja -C "$build" $targets >/dev/null
exec python3 "$root/bench/load/compare.py" --bin "$build/bin" "$@"
