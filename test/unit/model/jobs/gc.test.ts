import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { collectDirectories } from "../../../../src/model/jobs/gc.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { asPlaced, writePlaced } from "../../../../src/store/records/placed.ts";
import { temporaryFolder, writeFiles } from "../bench.ts";

const digest = `sha256:${"0".repeat(64)}`;

test("a file that is changed after its directory was looked at stays", async () => {
  const [root, dir] = [await temporaryFolder(), await temporaryFolder()];
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
