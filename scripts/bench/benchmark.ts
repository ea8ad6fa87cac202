import type { Result } from "./measure.ts";
import type { Figure } from "./report.ts";
import type { Stage } from "./stage.ts";

export interface Outcome {
  results: Result[];
  figures: Figure[];
}

/** One thing that is measured, ours and peers in turn. */
export interface Benchmark {
  /** What `--only` names it. */
  name: string;
  run(stage: Stage): Promise<Outcome>;
}

/** The median of a contestant of these results, or undefined when it took no part. */
export function medianOf(results: readonly Result[], contestant: string) {
  return results.find((result) => result.contestant === contestant)?.median;
}

/** The figure `dividend / divisor`, or none where one of the two took no part. */
export function ratio(
  name: string,
  dividend: number | undefined,
  divisor: number | undefined,
  needed: Figure["needed"],
): Figure[] {
  if (dividend === undefined || divisor === undefined) return [];
  return [{ name, value: dividend / divisor, needed, unit: "" }];
}
