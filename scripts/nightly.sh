#!/usr/bin/env bash
# What takes too long for every change, against a binary built from these sources: see docs/dev/robustness.md.
#
#   scripts/nightly.sh [STEP]...     properties, attacks, faults, kills, sources, fleet, cosign,
#                                large, parts; all unless named
#
# OCIBUNDLE_PROPERTY_RUNS: cases of each property, 100,000 unless given
# OCIBUNDLE_ATTACK_RUNS: attacks of each kind on each job, 200 unless given
# OCIBUNDLE_ATTACK_SEED: what their moments are chosen with; today's date unless given
# OCIBUNDLE_SOURCE_KILLS: moments at which a push from each kind of source is killed, 20 unless given
# OCIBUNDLE_NIGHTLY_ROUNDS: repetitions of the steps `faults` and `kills`, 5 unless given
# OCIBUNDLE_STEP_SECONDS: a step that takes longer is ended and has failed, 5400 unless given
set -uo pipefail
cd "$(dirname "$0")/.." || exit
node scripts/setup.mjs || exit 1
OCIBUNDLE_ALL_CLIENTS=1 scripts/ci-dependencies.sh nightly || exit 1
npm run -s build || exit 1

export OCIBUNDLE_BINARY=$PWD/dist/ocibundle
export OCIBUNDLE_PROPERTY_RUNS=${OCIBUNDLE_PROPERTY_RUNS:-100000}
export OCIBUNDLE_ATTACK_RUNS=${OCIBUNDLE_ATTACK_RUNS:-200}
export OCIBUNDLE_SOURCE_KILLS=${OCIBUNDLE_SOURCE_KILLS:-20}
export OCIBUNDLE_ATTACK_SEED=${OCIBUNDLE_ATTACK_SEED:-$(date +%Y%m%d)}
rounds=${OCIBUNDLE_NIGHTLY_ROUNDS:-5}
seconds=${OCIBUNDLE_STEP_SECONDS:-5400}
steps=("$@")
[ "${#steps[@]}" -gt 0 ] || steps=(properties attacks faults kills sources fleet cosign large parts)

tests() {
  timeout --kill-after=30 "$seconds" node_modules/.bin/bun test --timeout 3600000 "$@"
}

step() {
  case $1 in
    properties) tests ./test/property ;;
    attacks)
      echo "OCIBUNDLE_ATTACK_SEED=$OCIBUNDLE_ATTACK_SEED"
      tests ./test/robustness/system-calls.test.ts ./test/robustness/power-cuts.test.ts
      ;;
    faults) tests --rerun-each "$rounds" ./test/faults/fault-matrix.ts ./test/robustness/hostile.test.ts ;;
    kills) tests --rerun-each "$rounds" ./test/robustness/kill-*.test.ts ./test/interop/round.test.ts ;;
    sources)
      # They start slowly: each attack once, not as often as the binary is attacked.
      env -u OCIBUNDLE_BINARY -u OCIBUNDLE_ATTACK_RUNS -u OCIBUNDLE_SOURCE_KILLS timeout --kill-after=30 "$seconds" \
        node_modules/.bin/bun test --timeout 300000 ./test/scripts ./test/robustness
      ;;
    fleet) tests ./test/large/fleet.ts ;;
    cosign) tests ./test/interop/cosign.ts ./test/interop/model-signing.ts ;;
    large) tests ./test/robustness/large.ts ./test/large/large.ts ;;
    parts)
      timeout --kill-after=30 "$seconds" node_modules/.bin/bun scripts/parts-scenarios.ts --full &&
        timeout --kill-after=30 "$seconds" node_modules/.bin/bun scripts/parts-kills.ts --full
      ;;
    *)
      echo "nightly: there is no step \"$1\"" >&2
      return 2
      ;;
  esac
}

failed=()
for name in "${steps[@]}"; do
  printf '\n== %s\n' "$name"
  began=$SECONDS
  step "$name" || failed+=("$name")
  echo "$name: $((SECONDS - began)) s"
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "nightly: failed: ${failed[*]}" >&2
  exit 1
fi
