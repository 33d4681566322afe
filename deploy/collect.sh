#!/usr/bin/env bash
# Puts a program and all that it needs to run into a root of its own: stripped, its libraries where the loader looks,
# certificates, a user. What is not listed here is not in the image.
#   deploy/collect.sh PROGRAM ROOT
set -euo pipefail
program=$1 root=$2
mkdir -p "$root"/{etc/ssl/certs,usr/bin,tmp}
strip -o "$root/usr/bin/$(basename "$program")" "$program"
chmod 755 "$root/usr/bin/$(basename "$program")"
# Libraries under the paths at which the loader found them: usr/lib/..., and lib64/ for the loader itself.
ldd "$program" | sed -nE 's/.* => (\/[^ ]+) .*|^\t(\/[^ ]+) .*/\1\2/p' | while read -r library; do
  install -D -m 755 "$(realpath "$library")" "$root$library"
done
printf 'root:x:0:0::/:/none\nrouse:x:65532:65532::/:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\nrouse:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; fi
chmod 1777 "$root/tmp"
