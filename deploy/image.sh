#!/usr/bin/env bash
# Builds the images of deploy/Dockerfile with buildah, without a daemon, and writes each as an OCI archive.
#   deploy/image.sh [FOLDER]      default build/images: rouse-proxy.tar, rouse-autoscaler.tar, rouse-sample.tar
# Where no registry can be reached, the Debian that they are built on is made by debootstrap from this machine's own
# package sources. Load one with `docker load`, `podman load` or `ctr images import`.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/images}
mkdir -p "$out"
third_party/install.sh image

export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=oci
storage=$(realpath -m build/buildah)
buildah() { command buildah --root "$storage/root" --runroot "$storage/run" "$@"; }

base=docker.io/library/debian:bookworm-slim
if ! buildah pull --quiet "$base" >/dev/null 2>&1; then
  base=localhost/debian:bookworm
  buildah images --quiet "$base" >/dev/null 2>&1 || {
    root=$(mktemp -d "$storage/debian.XXXX")
    trap 'rm -rf --one-file-system "$root"' EXIT
    mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/*.sources)
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror" >build/debootstrap.log
    rm -f "$root/etc/apt/sources.list"
    cp -a /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/"
    cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
    cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
    # There they are links to where this machine has the same files, which cp refuses to write over.
    rm -rf --one-file-system "$root/etc/ssl/certs"
    mkdir "$root/etc/ssl/certs"
    cp -aL /etc/ssl/certs/. "$root/etc/ssl/certs/"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" / >/dev/null
    buildah commit --quiet --rm "$container" "$base" >/dev/null
  }
fi

version=$(sed -n 's/^appVersion: //p' deploy/chart/Chart.yaml)
for image in rouse-proxy rouse-autoscaler rouse-sample; do
  buildah build --quiet --layers --build-arg DEBIAN="$base" --ignorefile deploy/Dockerfile.dockerignore \
    -f deploy/Dockerfile --target "$image" -t "$image:$version" . >/dev/null
  rm -f "$out/$image.tar"
  buildah push --quiet "$image:$version" "oci-archive:$out/$image.tar:$image:$version"
  printf '%-18s %s\n' "$image:$version" "$(du -h "$out/$image.tar" | cut -f1)"
done
