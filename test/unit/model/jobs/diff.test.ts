import { describe, expect, test } from "bun:test";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { diffModels, diffWeights } from "../../../../src/model/jobs/diff.ts";
import type { WeightEntry } from "../../../../src/model/format/weight-entry.ts";
import { preparedJob } from "../../../support/model/job.ts";
import { entry } from "../../../support/model/fixtures.ts";

const weight = (name: string, content: string, dest = `/src/weights/${name}`): WeightEntry => {
  const digest = `sha256:${content.padEnd(64, "0")}` as const;
  return entry(name, { digest, digestOriginal: digest, dest }) as WeightEntry;
};

const names = (entries: readonly WeightEntry[]) => entries.map(({ name }) => name);

const many = (prefix: string) =>
  Array.from({ length: 10_000 }, (_, index) => weight(`${prefix}${index}`, String(index)));

describe("weights", () => {
  test("are shared, added, removed, changed, or moved by name or dest", () => {
    const diff = diffWeights(
      [
        weight("same", "a"),
        weight("changed", "b"),
        weight("placed", "c"),
        weight("renamed", "d"),
        weight("removed", "e"),
      ],
      [
        weight("same", "a"),
        weight("changed", "b1"),
        weight("placed", "c", "/elsewhere"),
        weight("new name", "d"),
        weight("added", "f"),
      ],
    );
    expect(names(diff.shared)).toEqual(["same"]);
    expect(names(diff.added)).toEqual(["added"]);
    expect(names(diff.removed)).toEqual(["removed"]);
    expect(diff.changed.map(({ after }) => after.name)).toEqual(["changed"]);
    expect(diff.moved.map(({ before, after }) => [before.name, after.name])).toEqual([
      ["placed", "placed"],
      ["renamed", "new name"],
    ]);
  });

  test("of the same bytes are matched one to one", () => {
    const diff = diffWeights(
      [weight("a", "x"), weight("b", "x")],
      [weight("c", "x"), weight("d", "x"), weight("e", "x")],
    );
    expect(diff.moved.map(({ before, after }) => [before.name, after.name])).toEqual([
      ["a", "c"],
      ["b", "d"],
    ]);
    expect(names(diff.added)).toEqual(["e"]);
  });

  test("by the ten thousand are compared in no time", () => {
    const began = performance.now();
    expect(diffWeights(many("a"), many("b")).moved).toHaveLength(10_000);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("models", () => {
  test("share layers; what is to be fetched is what the other one lacks", async () => {
    const platforms = ["linux/amd64", "linux/arm64"];
    const job = await preparedJob({ "a.bin": "first" }, { platforms });
    await copyModel(job, {
      source: "oci:image",
      target: "oci:arm",
      platform: "linux/arm64",
      referrers: false,
      dryRun: false,
    });
    const diff = await diffModels(job, "oci:arm", "oci:image");
    // Two layers and a config there, another config here.
    expect(diff.image?.shared.blobs).toBe(3);
    expect(diff.image?.added.blobs).toBe(1);
    expect(diff.image?.removed.blobs).toBe(0);
    expect(diff.fetch.image).toEqual(diff.image?.added ?? { blobs: 0, bytes: 0 });
    expect(diff.fetch.weights).toEqual({ blobs: 0, bytes: 0 });
  });

  test("and locks share weights alone", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const diff = await diffModels(job, "oci:image", "weights.lock");
    expect(diff.image).toBeNull();
    expect(names(diff.weights.added)).toEqual(["a"]);
    expect(diff.fetch.weights).toEqual({ blobs: 1, bytes: 5 });
  });
});
