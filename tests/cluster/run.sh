#!/usr/bin/env bash
# Rouse on a real Kubernetes, installed as users install it. One command, unattended; the summary comes last.
#   tests/cluster/run.sh                     every test
#   tests/cluster/run.sh Wakes.test_a_deployment_from_zero_and_back    one of them; what unittest takes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/lab.sh" python3 "$here/cluster_test.py" "$@"
