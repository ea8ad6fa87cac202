#!/usr/bin/env bash
# Installs, from Debian's packages, the real parts that the tests run against. Nothing is
# done when they are all there.
set -euo pipefail

# command:package
parts=(
  docker-registry:docker-registry
  skopeo:skopeo
  dockerd:docker.io
  docker:docker.io
  containerd:containerd
  ctr:containerd
  zsh:zsh
  fish:fish
  strace:strace
)

missing=()
for part in "${parts[@]}"; do
  command -v "${part%%:*}" >/dev/null || missing+=("${part##*:}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq
mapfile -t packages < <(printf '%s\n' "${missing[@]}" | sort -u)
"${root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
