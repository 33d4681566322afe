#!/usr/bin/env bash
# Installs the WebSocket suites into DIR: Autobahn's wstest, which runs on Python 2.7 alone, PyPI's h2 for the client of
# RFC 8441, and a server to test with.
#   tests/conformance/websocket/setup.sh DIR      PYTHON2=... names the Python 2.7, else python2.7 or one of pyenv's
set -euo pipefail
dir=$(realpath -m "${1:?usage: setup.sh DIR}")
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -c 'import h2, websockets' 2>/dev/null || "$dir/venv/bin/pip" install -q websockets h2==4.4.1
[ -x "$dir/wstest" ] && exit 0
python2=
for candidate in "${PYTHON2:-}" python2.7 ~/.pyenv/versions/2.7*/bin/python2.7; do
  if [ -n "$candidate" ] && "$candidate" -c '' 2>/dev/null; then python2=$(command -v "$candidate"); break; fi
done
[ -n "$python2" ] || { echo "setup.sh: Autobahn's suite needs a Python 2.7: PYTHON2=/path/to/python2.7" >&2; exit 2; }
PYTHONUSERBASE=$dir/base "$python2" -m pip install -q --no-warn-script-location --user autobahntestsuite==25.10.1 2>/dev/null
printf '#!/bin/sh\nPYTHONUSERBASE=%s exec %s %s "$@"\n' "$dir/base" "$python2" "$dir/base/bin/wstest" >"$dir/wstest"
chmod +x "$dir/wstest"
