import { expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  chooseTags,
  goesWith,
  keptBy,
  type PruneInput,
  type PruneNode,
} from "../../src/model/graph/prune-plan.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { runs } from "../support/property-runs.ts";

const digests = Array.from({ length: 12 }, (_, at): Digest => digestOf(String(at)));
const digestAt = (at: number): Digest => digests[at] as Digest;

/** Nodes name only those with smaller numbers, as digests allow. */
const nodeOf = (at: number): fc.Arbitrary<PruneNode> => {
  const below = at === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(at - 1), { maxLength: 3 });
  return fc.record({
    children: below.map((all) => all.map(digestAt)),
    subject: at === 0 ? fc.constant(null) : fc.option(fc.nat(at - 1).map(digestAt), { nil: null }),
    attachedTo: fc.uniqueArray(fc.nat(11).map(digestAt), { maxLength: 1 }),
    created: fc.option(
      fc.nat(100).map((day) => new Date(Date.UTC(2026, 0, 1 + day))),
      { nil: null },
    ),
  });
};

const repositories: fc.Arbitrary<PruneInput> = fc.record({
  nodes: fc
    .tuple(...digests.map((_, at) => nodeOf(at)))
    .map((all) => new Map(all.map((node, at) => [digestAt(at), node]))),
  tags: fc
    .array(fc.nat(11).map(digestAt), { maxLength: 8 })
    .map((all) => all.map((digest, at) => ({ tag: `${at % 2 === 0 ? "v" : "pr-"}${at}`, digest }))),
});

const rules = fc.record({
  keepLast: fc.nat(4),
  olderThan: fc.option(fc.nat(100 * 86_400_000), { nil: undefined }),
  matches: fc.constantFrom(
    () => true,
    (tag: string) => tag.startsWith("pr-"),
  ),
  now: fc.constant(Date.UTC(2026, 3, 20)),
});

test("what is kept needs nothing that goes", () => {
  fc.assert(
    fc.property(repositories, rules, (repository, chosen) => {
      const { nodes } = repository;
      const { keep, remove } = chooseTags(repository, chosen);
      expect(keep.length + remove.length).toBe(repository.tags.length);
      const kept = keptBy(
        keep.map(({ digest }) => digest),
        nodes,
      );
      const leaving = goesWith(
        remove.map(({ digest }) => digest),
        nodes,
        kept,
      );
      for (const { digest } of keep) expect(leaving.has(digest)).toBe(false);
      for (const digest of leaving) expect(kept.has(digest)).toBe(false);
      for (const [digest, { children, subject, attachedTo = [] }] of nodes) {
        if (kept.has(digest)) {
          for (const child of children) expect(leaving.has(child)).toBe(false);
          if (subject !== null) expect(leaving.has(subject)).toBe(false);
        }
        // What refers to something that stays stays as well.
        const owners = subject === null ? attachedTo : [subject, ...attachedTo];
        if (owners.some((owner) => kept.has(owner))) expect(leaving.has(digest)).toBe(false);
      }
    }),
    runs,
  );
});

test("only dated tags go that match, are old enough, and are not among the newest", () => {
  fc.assert(
    fc.property(repositories, rules, (repository, chosen) => {
      const { nodes } = repository;
      const { remove } = chooseTags(repository, chosen);
      for (const { tag, digest } of remove) {
        const created = nodes.get(digest)?.created?.getTime() ?? Number.NaN;
        expect(chosen.matches(tag)).toBe(true);
        expect(created).not.toBeNaN();
        expect(chosen.now - created).toBeGreaterThanOrEqual(chosen.olderThan ?? 0);
        const newer = new Set(
          repository.tags
            .filter((other) => chosen.matches(other.tag) && other.digest !== digest)
            .filter(({ digest: other }) => (nodes.get(other)?.created?.getTime() ?? 0) >= created)
            .map((other) => other.digest),
        );
        expect(newer.size).toBeGreaterThanOrEqual(chosen.keepLast);
      }
    }),
    runs,
  );
});
