#!/usr/bin/env bash
# From nothing to a function that wakes: installs packages, builds, starts rouse-local, rouse-autoscaler and
# rouse-proxy on this machine, applies three sample functions, and shows the tour.
#
#   deploy/quickstart.sh           stays up afterwards; Ctrl-C stops everything
#   deploy/quickstart.sh --once    exits after the tour (0 where all of it happened)
#
# Needs Debian 12, root for the packages, and nothing listening on ports that it cannot choose otherwise.
# Everything it makes lies in build/ and in one temporary folder, which goes when it stops.
set -euo pipefail
cd "$(dirname "$0")/.."

once=no
case "${1:-}" in
  --once) once=yes ;;
  --help | -h) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  "") ;;
  *) echo "quickstart.sh: '$1' is unknown: want --once, --help or nothing" >&2; exit 2 ;;
esac

say() { printf '\n== %s\n' "$*"; }

say "packages"
third_party/install.sh build tour

say "build (a second run builds nothing)"
mkdir -p build
if [ ! -f build/release/build.ninja ]; then
  cmake -S . -B build/release -G Ninja >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
fi
ninja -C build/release rouse-proxy rouse-autoscaler rouse-local sample-hello
bin=$PWD/build/release/bin

state=$(mktemp -d "${TMPDIR:-/tmp}/rouse-tour.XXXXXX")
pids=()
stop() {
  trap - EXIT INT TERM
  # The proxy first, the API with the functions last: each may still need the next.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "${pids[i]}" 2>/dev/null || break; read -rt 0.05 <> <(:) || true; done
    kill -KILL "${pids[i]}" 2>/dev/null || true
    wait "${pids[i]}" 2>/dev/null || true
  done
  rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# port PREFERRED: that port if it is free on loopback, else any free one.
port() {
  python3 - "$1" <<'PY'
import socket, sys
for candidate in (int(sys.argv[1]), 0):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", candidate))
        except OSError:
            continue
        print(s.getsockname()[1])
        break
PY
}

# wait_for NAME URL: until it answers 200, at most 15 s.
wait_for() {
  local deadline=$((SECONDS + 15))
  until curl -fsS -o /dev/null --max-time 1 "$2" 2>/dev/null; do
    kill -0 "${pids[-1]}" 2>/dev/null || { echo "$1 ended early:" >&2; tail -20 "$state/$1.log" >&2; exit 1; }
    [ $SECONDS -lt $deadline ] || { echo "$1 is not ready after 15 s:" >&2; tail -20 "$state/$1.log" >&2; exit 1; }
    read -rt 0.05 <> <(:) || true
  done
}

start() { local name=$1; shift; "$@" >"$state/$name.log" 2>&1 & pids+=($!); }

say "start"
api_port=$(port 6443) proxy_port=$(port 8080) proxy_health=$(port 8081) proxy_admin=$(port 9901)
report_port=$(port 8090) scaler_health=$(port 8082) scaler_admin=$(port 9902)
export KUBECONFIG=$state/kubeconfig
PATH=$bin:$PWD/deploy/samples:$PATH start rouse-local "$bin/rouse-local" serve --port "$api_port" \
  --data-dir "$state/local" --kubeconfig-out "$KUBECONFIG"
wait_for rouse-local "http://127.0.0.1:$api_port/readyz"
"$bin/rouse-local" apply -f deploy/tour

start rouse-autoscaler "$bin/rouse-autoscaler" --kubeconfig "$KUBECONFIG" --listen "127.0.0.1:$report_port" \
  --health "127.0.0.1:$scaler_health" --admin "127.0.0.1:$scaler_admin" --intake-auth none \
  --scale-to-zero-grace 2s
wait_for rouse-autoscaler "http://127.0.0.1:$scaler_health/readyz"
start rouse-proxy "$bin/rouse-proxy" --kubeconfig "$KUBECONFIG" --listen "127.0.0.1:$proxy_port" \
  --health "127.0.0.1:$proxy_health" --admin "127.0.0.1:$proxy_admin" \
  --autoscalers "127.0.0.1:$report_port" --allow-endpoint-cidr 127.0.0.0/8
wait_for rouse-proxy "http://127.0.0.1:$proxy_health/readyz"

say "tour"
python3 deploy/tour.py --proxy "http://127.0.0.1:$proxy_port" --autoscaler "http://127.0.0.1:$scaler_admin" \
  --api "http://127.0.0.1:$api_port"

[ $once = no ] || { say "done"; exit 0; }
cat <<EOT

== up; Ctrl-C stops everything

    curl -H 'Host: hello-cpp.default' http://127.0.0.1:$proxy_port/
    curl http://127.0.0.1:$proxy_admin/workloads        what the proxy knows
    curl http://127.0.0.1:$scaler_admin/decisions       why there are how many pods
    KUBECONFIG=$KUBECONFIG $bin/rouse-local get pods
    logs: $state/*.log
EOT
wait
