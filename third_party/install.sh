#!/usr/bin/env bash
# Installs the Debian 12 packages that a purpose needs, and only those that are missing.
#   third_party/install.sh PURPOSE ...   (the names set below)
# Reasons, least versions and licences: README.md beside this file. Quiet where nothing is missing.
set -euo pipefail

build="g++ cmake ninja-build ccache libboost1.81-dev libboost-json1.81-dev libabsl-dev libssl-dev libnghttp2-dev
  libyaml-cpp-dev protobuf-compiler libprotobuf-dev prometheus-cpp-dev catch2"
test="python3 python3-yaml curl iproute2 procps openssl strace valgrind"
tour="python3 curl procps"
bench="wrk python3 strace valgrind procps iproute2 util-linux"
nginx="nginx-light"
haproxy="haproxy"
h2o="h2o"
nghttpx="nghttp2-proxy nghttp2-client nghttp2-server"
pip="python3 python3-pip"
scan="sslscan testssl.sh openssl python3 python3-venv iproute2"
cluster="python3 python3-pip iproute2 util-linux"
image="buildah debootstrap"
sanitize="clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev"

wanted=
for purpose in "$@"; do
  case "$purpose" in
    build | test | tour | bench | sanitize | nginx | haproxy | h2o | nghttpx | pip | scan | cluster | image)
      wanted+=" ${!purpose}" ;;
    *) echo "install.sh: '$purpose' is no purpose; the head of this file lists them" >&2; exit 2 ;;
  esac
done

missing=
for package in $wanted; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=" $package"
done
[ -z "$missing" ] && exit 0

[ "$(id -u)" = 0 ] || { echo "install.sh: these packages are missing and only root can install them:$missing" >&2; exit 1; }
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 ||
  { tail -20 "$log" >&2; echo "install.sh: apt-get failed" >&2; exit 1; }
