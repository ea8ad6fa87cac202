import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { WantedFile } from "../../../../src/model/pull/pull-plan.ts";
import { openStage, type Stage } from "../../../../src/model/pull/sync.ts";
import { asPlaced } from "../../../../src/store/records/placed.ts";
import { entry } from "../../../support/model/fixtures.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

/** The second version of a directory with one file, as it is before it takes the place of the first. */
async function staged(others: Record<string, string> = {}): Promise<{ dir: string; stage: Stage }> {
  const dir = await temporaryDirectory();
  await writeFiles(dir, { "src/weights": "first", ...others });
  const placed = await asPlaced(dir, "src/weights");
  if (placed === undefined) throw new Error("nothing was placed");
  const parts = ["src", "weights"];
  const file: WantedFile = { entry: entry("/src/weights"), parts, path: join(dir, ...parts) };
  const stage = await openStage({
    dir,
    last: [{ source: "registry.example/acme", digest: "sha256:1", files: [placed] }],
    digest: "sha256:2",
    ready: undefined,
    files: [file],
    targets: [],
    force: false,
  });
  if (stage === undefined) throw new Error("there is no next version");
  await writeFiles(stage.root, { "src/weights": "second" });
  return { dir, stage };
}

describe("the next version of a directory", () => {
  test("does not take the place of a file that was changed while it was fetched", async () => {
    const { dir, stage } = await staged();
    await writeFile(join(dir, "src/weights"), "somebody's own");
    await expect(stage.swap()).rejects.toThrow("was changed after it was pulled");
    expect(await readFile(join(dir, "src/weights"), "utf8")).toBe("somebody's own");
  });

  test("has what somebody writes there until it takes its place", async () => {
    const notes = Array.from({ length: 300 }, (_, at) => [`src/note-${at}`, "note"] as const);
    const { dir, stage } = await staged(Object.fromEntries(notes));
    const swapped = stage.swap();
    // Once one has its second name, the list of the others is read.
    while (notes.every(([path]) => !existsSync(join(stage.root, path)))) await setImmediate();
    await writeFile(join(dir, "src/late"), "late");
    await swapped;
    expect(await readFile(join(dir, "src/weights"), "utf8")).toBe("second");
    expect(await readFile(join(dir, "src/late"), "utf8")).toBe("late");
    expect(existsSync(join(dir, ".ocibundle-sync"))).toBe(false);
  });

  test("leaves the markers of another model beside it, and takes its own with it", async () => {
    const { dir, stage } = await staged({
      "src/other/.cog/ready": "sha256:3\n",
      "src/.cog/ready": "sha256:1\n",
    });
    await stage.swap();
    expect(await readFile(join(dir, "src/other/.cog/ready"), "utf8")).toBe("sha256:3\n");
    expect(existsSync(join(dir, "src/.cog/ready"))).toBe(false);
  });
});
