import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { buildModel } from "../../../src/model/jobs/build.ts";
import { copyModel } from "../../../src/model/jobs/copy.ts";
import { pushModel } from "../../../src/model/jobs/push.ts";
import { pushOfNothing } from "../../support/model/push.ts";
import { mountTmpfs } from "../../support/store/small-disk.ts";
import { type Job, lock, preparedJob } from "../../support/model/job.ts";
import { failureOf } from "../../support/failure.ts";
import { recordingRegistry } from "../../support/registry/recording-registry.ts";

const disk = mountTmpfs(4096);
if (disk !== undefined) writeFileSync(join(disk.path, "full"), new Uint8Array(4096));
afterAll(() => disk?.remove());

const name = `a full disk under the cache${disk === undefined ? " (can't be mounted here)" : ""}`;

const parts = {
  ...pushOfNothing,
  image: "oci:image:v1",
  weights: ["weights"],
};

const push = (job: Job, reference: string) => pushModel(job, { ...parts, reference });

/** The job with its cache on the full disk; what locking left elsewhere is gone. */
async function onFullDisk(job: Job): Promise<Job> {
  await rm(join(job.cwd, ".cache"), { recursive: true, force: true });
  const cache = join(disk?.path ?? "", "cache");
  return { ...job, env: { ...job.env, OCIBUNDLE_CACHE: cache } };
}

const text = "the same words again and again\n".repeat(100_000);

describe.skipIf(disk === undefined)(name, () => {
  test("does not keep anything from being pushed, copied and built", async () => {
    const registry = await recordingRegistry();
    const job = await onFullDisk(await preparedJob({ "a.bin": "first", "empty.bin": "" }));
    const reference = `${registry.host}/acme/model:v1`;
    expect((await push(job, reference)).sent.blobs).toBeGreaterThan(0);
    expect((await push(job, reference)).sent.blobs).toBe(0);
    const copy = { platform: undefined, referrers: false, dryRun: false };
    await copyModel(job, { ...copy, source: reference, target: `${registry.host}/acme/copy:v1` });
    await buildModel(job, { ...parts, reference: undefined, output: "oci:out" });
  });

  test("does not keep files from being locked as they are", async () => {
    const job = await onFullDisk(await preparedJob({ "a.bin": text }));
    expect((await lock(job)).read).toBe(1);
  });

  test("is told of where a large weight must be compressed", async () => {
    const registry = await recordingRegistry();
    const prepared = await preparedJob({ "a.bin": text });
    await lock(prepared, "zstd");
    const job = await onFullDisk(prepared);
    const pushed = () => push(job, `${registry.host}/acme/model:v1`);
    for (const work of [pushed, () => lock(job, "gzip")]) {
      const error = await failureOf(work());
      expect(error.code).toBe("system");
      expect(error.message).toEndWith('/cache": no space left on device');
      expect(error.hint).toBe(
        "free up space there, run `ocibundle cache prune`, or set OCIBUNDLE_CACHE to another disk",
      );
    }
    expect(registry.done.filter((done) => done.includes("/manifests/"))).toEqual([]);
  });
});
