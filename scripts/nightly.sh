#!/usr/bin/env bash
# What takes too long for every change: the property tests with 100,000 cases each. What fails is shown with
# its seed.
set -euo pipefail
cd "$(dirname "$0")/.."
node scripts/setup.mjs
export OCIBUNDLE_PROPERTY_RUNS=${OCIBUNDLE_PROPERTY_RUNS:-100000}
exec node_modules/.bin/bun test ./test/property --timeout 3600000
