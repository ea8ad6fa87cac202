import { afterAll, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireSpace } from "../../../../src/store/placement/disk-space.ts";
import { mountTmpfs } from "../../../support/store/small-disk.ts";

const missing = join(tmpdir(), "ocibundle-not-there", "below");

test("what fits passes, also below a directory that is not there yet", async () => {
  await requireSpace([{ path: missing, bytes: 1 }]);
});

test("what can't fit anywhere names the directory and both numbers", async () => {
  await expect(requireSpace([{ path: missing, bytes: Number.MAX_SAFE_INTEGER }])).rejects.toThrow(
    expect.objectContaining({
      code: "system",
      message: expect.stringMatching(
        /^no space left on the disk of ".*ocibundle-not-there\/below": 8,589,934,592 MiB needed, [\d,]+ MiB free$/,
      ),
    }),
  );
});

describe("on a small disk", () => {
  const disk = mountTmpfs(4 * 1024 * 1024);
  const path = join(disk?.path ?? "", "out");
  afterAll(() => disk?.remove());

  test.skipIf(disk === undefined)("needs are added up per file system", async () => {
    const part = { path, bytes: 3 * 1024 * 1024 };
    await requireSpace([part]);
    await requireSpace([part, { path: missing, bytes: 3 * 1024 * 1024 }]);
    await expect(requireSpace([part, { ...part, path: join(path, "other") }])).rejects.toThrow(
      "6 MiB needed, 4 MiB free",
    );
  });
});
