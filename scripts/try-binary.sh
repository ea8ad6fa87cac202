#!/bin/sh
# Takes a model to a registry and back with a binary, on any system that has a POSIX shell.
#
#   scripts/try-binary.sh BINARY
set -eu
binary=$1
work=$(mktemp -d)
cd "$work"
finish() {
  "$binary" registry-stop >/dev/null 2>&1 || true
  cd / && rm -rf "$work"
}
trap finish EXIT

"$binary" --version
eval "$("$binary" registry-start)"
"$binary" mock-weights -n 3 --min-size 1mb --max-size 9mb
"$binary" push "$TEST_REGISTRY/acme/tried:v1" --weights weights
"$binary" pull "$TEST_REGISTRY/acme/tried:v1" -o models
"$binary" verify weights.lock --dir models
echo "$binary went the whole round"
