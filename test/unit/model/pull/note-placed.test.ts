import { expect, test } from "bun:test";
import { join } from "node:path";
import { lookAtStageOf } from "../../../../src/model/pull/note-placed.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { asPlaced, writePlaced } from "../../../../src/store/records/placed.ts";
import { entry } from "../../../support/model/fixtures.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

/** What a version of another repository, with one file, does to a directory that has `config` and `weights`. */
async function replacing(
  pulled: { sync: boolean; digest?: string },
  options: { path: string; force?: boolean },
): Promise<{ removed: string[]; warnings: string[] }> {
  const dir = await temporaryDirectory();
  await writeFiles(dir, { config: "first", weights: "first" });
  const files = [];
  for (const path of ["config", "weights"]) {
    const placed = await asPlaced(dir, path);
    if (placed === undefined) throw new Error("nothing was placed");
    files.push(placed);
  }
  const cache = cacheAt(await temporaryDirectory());
  const { sync, digest = "sha256:1" } = pulled;
  const pulls = [{ source: "one.example/acme", digest, files, sync }];
  await writePlaced(cache, { version: 1, dir, hub: false, pulls }, { sync });
  const warnings: string[] = [];
  const { removed } = await lookAtStageOf(
    {
      cache,
      dir,
      source: "two.example/acme",
      emit: (event) => event.type === "warning" && warnings.push(event.message),
    },
    {
      digest: "sha256:2",
      ready: undefined,
      files: [
        { entry: entry(`/${options.path}`), parts: [options.path], path: join(dir, options.path) },
      ],
      targets: [],
      force: options.force === true,
    },
  );
  return { removed, warnings };
}

test("a version replaces what was pulled with --sync from elsewhere, and says so", async () => {
  const { removed, warnings } = await replacing({ sync: true }, { path: "config" });
  expect(removed).toEqual(["weights"]);
  expect(warnings).toEqual([
    expect.stringContaining('"two.example/acme" replaces "one.example/acme" in "'),
  ]);
});

test("a version replaces the same content of another registry", async () => {
  const same = { sync: false, digest: "sha256:2" };
  expect((await replacing(same, { path: "config" })).removed).toEqual(["weights"]);
});

test("a model that was pulled without --sync is replaced only where it is in the way, by force", async () => {
  expect(await replacing({ sync: false }, { path: "other" })).toEqual({
    removed: [],
    warnings: [],
  });
  await expect(replacing({ sync: false }, { path: "config" })).rejects.toThrow(
    'config" belongs to "one.example/acme", which was pulled without --sync',
  );
  const forced = await replacing({ sync: false }, { path: "config", force: true });
  expect(forced.removed).toEqual(["weights"]);
});
