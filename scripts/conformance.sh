#!/usr/bin/env bash
# Runs the OCI distribution conformance tests against the embedded registry and fails unless every one
# passes with nothing skipped. Needs Go, which fetches the tests as a module.
#
#   scripts/conformance.sh [1.0|1.1|dev]...
#
# OCIBUNDLE: the program to test instead of the sources. RESULTS: a directory to keep the reports in.
set -euo pipefail

module=github.com/opencontainers/distribution-spec/conformance
version=v0.0.0-20260831232431-97274622c111
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
results=${RESULTS:-$work/results}
if [ "$#" -gt 0 ]; then versions=("$@"); else versions=(1.0 1.1 dev); fi

ocibundle() {
  if [ -n "${OCIBUNDLE:-}" ]; then (cd "$work" && "$OCIBUNDLE" "$@")
  else (cd "$work" && "$root/node_modules/.bin/bun" "$root/src/main.ts" "$@"); fi
}

finish() {
  ocibundle registry-stop >/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

(cd "$work" && GOFLAGS=-mod=mod GOBIN="$work" go install "$module@$version")
eval "$(ocibundle registry-start)"
echo "registry: $TEST_REGISTRY"

failed=0
for spec in "${versions[@]}"; do
  mkdir -p "$results/$spec"
  # The sparse data set needs a registry that takes manifests whose content is missing: this one refuses
  # them, which the spec leaves to it, and no version of the tests asks for it unless told to.
  (cd "$work" && OCI_VERSION=$spec OCI_REGISTRY=$TEST_REGISTRY OCI_TLS=disabled OCI_LOG=error \
    OCI_API_REFERRER=true OCI_API_BLOBS_MOUNT_ANONYMOUS=true OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_BLOBS_DIGEST_HEADER=true OCI_API_MANIFESTS_DIGEST_HEADER=true \
    OCI_REPO1="conformance/v$spec/one" OCI_REPO2="conformance/v$spec/two" \
    OCI_RESULTS_DIR="$results/$spec" ./conformance >"$results/$spec/output.txt" 2>&1) || failed=1
  echo "distribution-spec $spec:"
  sed -n '/^OCI Conformance Result/,/Total/p' "$results/$spec/output.txt"
  grep -E '(FAIL|Skip|Error)$' "$results/$spec/output.txt" | grep -v '^OCI' && failed=1
  grep -qE '^OCI Conformance Result: Pass' "$results/$spec/output.txt" || failed=1
  grep -qE '^ +(Skip|Disabled)\.+: +[1-9]' "$results/$spec/output.txt" && failed=1
done

if [ "$failed" -ne 0 ]; then
  echo "the conformance tests did not all pass" >&2
  exit 1
fi
