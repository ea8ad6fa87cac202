// The sources start slowly: they are attacked once, the binary a little more often.
const few = process.env["OCIBUNDLE_BINARY"] ? 3 : 1;
const asked = Number(process.env["OCIBUNDLE_ATTACK_RUNS"] ?? few);
if (!Number.isSafeInteger(asked) || asked < 1) {
  throw new Error("OCIBUNDLE_ATTACK_RUNS is not a positive whole number");
}
const seed = Number(process.env["OCIBUNDLE_ATTACK_SEED"] ?? 1);
if (!Number.isSafeInteger(seed)) throw new Error("OCIBUNDLE_ATTACK_SEED is not a whole number");

/** How often each attack is tried on each job, and the seed that its moments are chosen with. */
export const attack = Object.freeze({ runs: asked, seed });
