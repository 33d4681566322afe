#!/usr/bin/env bash
# Rouse on a real Kubernetes, installed as users install it. One command, unattended; the summary comes last.
#   tests/cluster/run.sh                     every test
#   tests/cluster/run.sh cluster_test.Wakes.test_many_at_once    one of them; what unittest takes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 0 ]; then
  "$here/lab.sh" go -C "$here" test ./internal/...
  set -- cluster_test pages_test rotation_test
fi
# Connections end with the loop that they belong to, and would warn.
PYTHONPATH=$here exec "$here/lab.sh" python3 -W ignore -m unittest -v "$@"
