import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { readFile, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { collectDirectories } from "../../../../src/model/jobs/gc.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { asPlaced, placedDirectory, writePlaced } from "../../../../src/store/records/placed.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const digest = `sha256:${"0".repeat(64)}`;

test("a file that is changed after its directory was looked at stays", async () => {
  const [root, dir] = [await temporaryDirectory(), await temporaryDirectory()];
  await writeFiles(dir, { weights: "pulled" });
  const placed = await asPlaced(dir, "weights");
  if (placed === undefined) throw new Error("nothing was placed");
  const pulls = [{ source: "registry.example/acme", digest, files: [placed] }];
  await writePlaced(cacheAt(root), { version: 1, dir, hub: false, pulls }, { sync: false });

  // Asked for the record, for the directory's list, and then before the removal.
  let asked = 0;
  const signal = Object.assign(new AbortController().signal, {
    throwIfAborted: () => {
      asked += 1;
      if (asked === 3) writeFileSync(join(dir, "weights"), "somebody's own");
    },
  });
  const report = await collectDirectories(
    { env: { OCIBUNDLE_CACHE: root }, cwd: dir, signal },
    { olderThan: undefined, maxSize: 0, dryRun: false },
  );
  expect(report.removed).toEqual([]);
  expect(report.kept).toMatchObject([{ dir, reason: "foreign", detail: "weights" }]);
  expect(await readFile(join(dir, "weights"), "utf8")).toBe("somebody's own");
});

test("what cannot be looked at is not taken for gone", async () => {
  const [root, base] = [await temporaryDirectory(), await temporaryDirectory()];
  const dir = join(base, "mount", "models");
  await writeFiles(dir, { weights: "pulled" });
  const cache = cacheAt(root);
  const pulls = [{ source: "registry.example/acme", digest, files: [] }];
  await writePlaced(cache, { version: 1, dir, hub: false, pulls }, { sync: false });
  await rename(join(base, "mount"), join(base, "elsewhere"));
  // A link to itself can't be followed: for everybody, root too.
  await symlink("mount", join(base, "mount"));
  const collect = () =>
    collectDirectories(
      { env: { OCIBUNDLE_CACHE: root }, cwd: base, signal: new AbortController().signal },
      { olderThan: 0, maxSize: undefined, dryRun: false },
    );
  expect(await collect()).toMatchObject({ forgotten: 0, kept: [{ dir, reason: "unreadable" }] });
  await rm(join(base, "mount"));
  expect(await collect()).toMatchObject({ forgotten: 1, kept: [] });

  await rm(placedDirectory(cache), { recursive: true });
  expect(await collect()).toMatchObject({ forgotten: 0, kept: [] });
  await symlink("placed", placedDirectory(cache));
  expect((await failureOf(collect())).message).toContain("cannot use the cache directory");
});
