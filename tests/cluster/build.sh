#!/bin/sh
# Builds the test cluster's binaries into a folder: "kube" (upstream Kubernetes and etcd;
# minutes when cold, unchanged until go.mod changes), "helm" (the same), "cluster" (this
# folder's code) and "function" (what test pods run).
#
# usage: build.sh FOLDER
set -eu
output=$(realpath -m "${1:?usage: build.sh FOLDER}")
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes) # what the programs say they are
export CGO_ENABLED=0
for program in function cluster kube; do
  go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
    -o "$output/$program" "./cmd/$program"
done
# Without this it takes itself for the client of Kubernetes 1.20.
minor=$(echo "$version" | cut -d. -f2)
helm=helm.sh/helm/v3/pkg/chartutil
go -C helm build -trimpath -ldflags "-s -w -X $helm.k8sVersionMajor=1 -X $helm.k8sVersionMinor=$minor" -o "$output/helm" helm.sh/helm/v3/cmd/helm
