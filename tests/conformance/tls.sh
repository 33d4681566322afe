#!/usr/bin/env bash
# Scans rouse-proxy's TLS with sslscan, testssl.sh and sslyze, makes handshakes by hand with tlslite-ng, and compares
# with `openssl s_server` of the same OpenSSL: no finding of medium or worse, and never worse than that one.
#   tests/conformance/tls.sh [BUILD_DIR] [OUT_DIR]     default build/release, BUILD_DIR/conformance-tls
# Debian's sslscan and testssl.sh by third_party/install.sh scan; tlslite-ng and sslyze from PyPI into OUT_DIR/venv.
# About three minutes. Runs in a network namespace of its own where the system allows one.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build/release}")
out=${2:-$build/conformance-tls}
mkdir -p "$out"
out=$(realpath "$out")
[ -x "$build/bin/rouse-proxy" ] || { echo "tls.sh: build rouse-proxy first" >&2; exit 2; }
third_party/install.sh scan
[ -x "$out/venv/bin/python" ] || python3 -m venv "$out/venv"
"$out/venv/bin/pip" install --quiet tlslite-ng sslyze
if [ -z "${TLS_SH_INSIDE:-}" ] && unshare --net true 2>/dev/null; then
  export TLS_SH_INSIDE=1
  exec unshare --net bash -c 'ip link set lo up && exec "$@"' - "$0" "$build" "$out"
fi

started=()
trap 'kill "${started[@]}" 2>/dev/null || true' EXIT
checks=$PWD/tests/conformance
cd "$out"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 365 \
  -subj '/CN=conformance authority' 2>/dev/null
printf '%s\n' 'subjectAltName=DNS:localhost' 'extendedKeyUsage=serverAuth' \
  'crlDistributionPoints=URI:http://localhost/none.crl' >extensions
for name in ec rsa; do
  if [ "$name" = ec ]; then new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256); else new=(-newkey rsa:2048); fi
  openssl req "${new[@]}" -nodes -keyout "$name.key" -out "$name.csr" -subj /CN=localhost 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$name.pem" -days 180 \
    -extfile extensions 2>/dev/null
  cat ca.pem >>"$name.pem"
done
cat >proxy.yaml <<YAML
listeners:
- address: "127.0.0.1:18443"
  tls: {certificates: [{cert: ec.pem, key: ec.key}, {cert: rsa.pem, key: rsa.key}]}
health: {address: "127.0.0.1:18081"}
admin: {address: "127.0.0.1:18082"}
workloads: [{name: ns/fn, endpoints: ["127.0.0.1:19000"]}]
routes: [{host: "*", path: /, workload: ns/fn}]
YAML
python3 "$checks/tls_origin.py" 19000 & started+=($!)
"$build/bin/rouse-proxy" --config proxy.yaml >proxy.log 2>&1 & started+=($!)
openssl s_server -accept 18444 -cert ec.pem -key ec.key -dcert rsa.pem -dkey rsa.key -www -quiet >/dev/null 2>&1 &
started+=($!)
for _ in $(seq 100); do
  curl -sf -o /dev/null http://127.0.0.1:18081/readyz && break
  read -rt 0.1 <> <(:) || true
done

timeout 60 sslscan --no-colour --xml=sslscan.xml localhost:18443 >sslscan.txt
rm -f testssl.json testssl-openssl.json
scan() { timeout 300 testssl --quiet --color 0 --add-ca ca.pem -p -s -f -P -U -S --severity MEDIUM "$@" >/dev/null || true; }
scan --jsonfile testssl.json localhost:18443
scan --jsonfile testssl-openssl.json localhost:18444
timeout 120 venv/bin/sslyze --json_out=sslyze.json localhost:18443 >sslyze.txt 2>&1 || true
timeout 120 venv/bin/python "$checks/tls_lite.py" 18443 18444 >lite.json
python3 "$checks/tls_verdict.py" .
