#!/usr/bin/env bash
# What takes too long for every change: the property tests with 100,000 cases each (what fails is shown with
# its seed), and every kind of fault at every step of a transfer.
set -euo pipefail
cd "$(dirname "$0")/.."
node scripts/setup.mjs
export OCIBUNDLE_PROPERTY_RUNS=${OCIBUNDLE_PROPERTY_RUNS:-100000}
node_modules/.bin/bun test ./test/property --timeout 3600000
exec node_modules/.bin/bun test ./test/nightly/fault-matrix.ts
