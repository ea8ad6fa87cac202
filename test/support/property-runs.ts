const asked = Number(process.env["OCIBUNDLE_PROPERTY_RUNS"] ?? 2000);
if (!Number.isSafeInteger(asked) || asked < 1) {
  throw new Error("OCIBUNDLE_PROPERTY_RUNS is not a positive whole number");
}

/** How many cases a property is tried with: 2,000, or what `scripts/nightly.sh` asks for. */
export const runs = Object.freeze({ numRuns: asked });

/** For properties that open files or connections: a share of the cases, each of which takes longer. */
export const fewerRuns = (share: number) => ({ numRuns: Math.ceil(asked * share) });
