import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { diffWeights } from "../../src/model/jobs/diff.ts";
import type { WeightEntry } from "../../src/model/format/weight-entry.ts";
import { entry } from "../support/model/fixtures.ts";
import { runs } from "../support/property-runs.ts";

const weights = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"),
      content: fc.constantFrom("0", "1", "2", "3"),
      dest: fc.constantFrom("/x", "/y"),
    }),
    { selector: ({ name }) => name },
  )
  .map((files) =>
    files.map(({ name, content, dest }): WeightEntry => {
      const digest = `sha256:${content.repeat(64)}` as const;
      return entry(name, { digest, digestOriginal: digest, dest: `${dest}/${name}` });
    }),
  );

const names = (entries: readonly WeightEntry[]) => entries.map(({ name }) => name).toSorted();

test("every weight file of two models is told of once, and by what became of it", () => {
  fc.assert(
    fc.property(weights, weights, (before, after) => {
      const { added, removed, changed, moved, shared } = diffWeights(before, after);
      const pairs = [...changed, ...moved];
      const old = [...removed, ...shared, ...pairs.map((pair) => pair.before)];
      const now = [...added, ...shared, ...pairs.map((pair) => pair.after)];
      expect(names(old)).toEqual(names(before));
      expect(names(now)).toEqual(names(after));
      for (const pair of changed) {
        expect(pair.before.digestOriginal).not.toBe(pair.after.digestOriginal);
      }
      for (const pair of moved) {
        expect(pair.before.digestOriginal).toBe(pair.after.digestOriginal);
      }
    }),
    runs,
  );
});
