import { describe, expect, test } from "bun:test";
import { copyFile, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildModel } from "../../../../src/model/jobs/build.ts";
import { type PushRequest, pushModel } from "../../../../src/model/jobs/push.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, lock, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { writeFiles } from "../../../support/temporary-directory.ts";

// What is named is what is pushed: a blob that the registry has says nothing about the file that was named.
const push = (job: Job, reference: string, request: Partial<PushRequest>) =>
  pushModel(job, { ...pushOfNothing, reference, ...request });

const old = { "a.bin": "first", "b.bin": "second" };
const edited = { "a.bin": "first", "b.bin": "SECOND" };

const exists = async (registry: RecordingRegistry, tag: string): Promise<boolean> =>
  (await registry.ask(`/v2/acme/${tag.replace(":", "/manifests/")}`, { method: "HEAD" })).ok;

/** Another directory with files of the same names and sizes, as another training run leaves them. */
async function newDirectory(job: Job): Promise<Partial<PushRequest>> {
  await writeFiles(join(job.cwd, "ckpt-2"), edited);
  return { weights: ["ckpt-2"] };
}

/** The same file, with other bytes, its old size and its old time. */
async function editedFile(job: Job): Promise<Partial<PushRequest>> {
  const path = join(job.cwd, "weights/b.bin");
  const { atime, mtime } = await stat(path);
  await writeFile(path, edited["b.bin"]);
  await utimes(path, atime, mtime);
  return { weights: ["weights"] };
}

/** The same, by a file that was put into its place. */
async function replacedFile(job: Job): Promise<Partial<PushRequest>> {
  const path = join(job.cwd, "weights/b.bin");
  const { atime, mtime } = await stat(path);
  await writeFile(`${path}.new`, edited["b.bin"]);
  await utimes(`${path}.new`, atime, mtime);
  await rename(`${path}.new`, path);
  return { weights: ["weights"] };
}

async function namedFile(job: Job): Promise<Partial<PushRequest>> {
  await writeFiles(job.cwd, { "other/model.bin": edited["b.bin"] });
  return { file: ["b=other/model.bin"] };
}

async function projectFile(job: Job): Promise<Partial<PushRequest>> {
  await writeFiles(job.cwd, {
    "ckpt-2/b.bin": edited["b.bin"],
    "ocibundle.yaml":
      "weights:\n  - {source: gone/a.bin, target: /src/weights/a.bin}\n" +
      "  - {source: ckpt-2/b.bin, target: /src/weights/b.bin}\n",
  });
  return {};
}

const ways = {
  "a new directory": newDirectory,
  "an edited file": editedFile,
  "a replaced file": replacedFile,
  "a file that --file names": namedFile,
  "a file of the project file, beside one that is missing": projectFile,
} as const;

describe.each(Object.entries(ways))("%s with other bytes of the same size", (_way, change) => {
  test.each(["none", "zstd"] as const)(
    "is refused where the registry has the old blobs, stored as %s",
    async (compression) => {
      const registry = await recordingRegistry();
      const job = await preparedJob(old);
      await lock(job, compression);
      await push(job, `${registry.host}/acme/model:v1`, { weights: ["weights"] });
      const error = await failureOf(push(job, `${registry.host}/acme/model:v2`, await change(job)));
      expect(error.code).toBe("integrity");
      expect(error.message).toContain(`has digest ${digestOf("SECOND")}, expected`);
      expect(await exists(registry, "model:v2")).toBeFalse();
    },
  );

  test("is refused where the registry lacks them, before anything is sent", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob(old);
    const error = await failureOf(push(job, `${registry.host}/acme/model:v2`, await change(job)));
    expect(error.code).toBe("integrity");
    expect(registry.seen).toEqual([]);
  });

  test("is refused where another repository of the registry has them", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob(old);
    await push(job, `${registry.host}/acme/model:v1`, { weights: ["weights"] });
    const error = await failureOf(push(job, `${registry.host}/acme/other:v1`, await change(job)));
    expect(error.code).toBe("integrity");
    expect(await exists(registry, "other:v1")).toBeFalse();
  });

  test("is refused on a machine that never hashed anything", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob(old);
    await push(job, `${registry.host}/acme/model:v1`, { weights: ["weights"] });
    const elsewhere = { ...job, env: { ...job.env, OCIBUNDLE_CACHE: join(job.cwd, ".other") } };
    const error = await failureOf(
      push(elsewhere, `${registry.host}/acme/model:v2`, await change(job)),
    );
    expect(error.code).toBe("integrity");
    expect(await exists(registry, "model:v2")).toBeFalse();
  });

  test("is refused by a dry run", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob(old);
    await push(job, `${registry.host}/acme/model:v1`, { weights: ["weights"] });
    const request = { ...(await change(job)), dryRun: true };
    const error = await failureOf(push(job, `${registry.host}/acme/model:v2`, request));
    expect(error.code).toBe("integrity");
  });

  test("is refused by a build into a layout that has the old blobs", async () => {
    const job = await preparedJob(old);
    const request = { ...pushOfNothing, reference: undefined, output: "oci:out:v1" };
    await buildModel(job, { ...request, weights: ["weights"] });
    const before = await readFile(join(job.cwd, "out/index.json"), "utf8");
    const error = await failureOf(buildModel(job, { ...request, ...(await change(job)) }));
    expect(error.code).toBe("integrity");
    expect(await readFile(join(job.cwd, "out/index.json"), "utf8")).toBe(before);
  });
});

test("a new directory with the same bytes is pushed as the lock says", async () => {
  const registry = await recordingRegistry();
  const job = await preparedJob(old);
  const first = await push(job, `${registry.host}/acme/model:v1`, { weights: ["weights"] });
  await writeFiles(join(job.cwd, "copy"), { "a.bin": "first" });
  await copyFile(join(job.cwd, "weights/b.bin"), join(job.cwd, "copy/b.bin"));
  const second = await push(job, `${registry.host}/acme/model:v2`, { weights: ["copy"] });
  expect(second.model.digest).toBe(first.model.digest);
  expect(second.sent.blobs).toBe(0);
});

const build = (job: Job) =>
  buildModel(job, { ...pushOfNothing, reference: undefined, output: "oci:out" });

const locked = async (yaml: string): Promise<Job> => {
  const job = await preparedJob(old);
  await writeFiles(job.cwd, { "ocibundle.yaml": yaml });
  return job;
};

describe("a project file", () => {
  test("with another target than the lock's dest is refused", async () => {
    const job = await locked("weights: [{source: weights, target: /models}]\n");
    const error = await failureOf(build(job));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain('weight "a": its target in ');
    expect(error.message).toEndWith(
      "is /models/a.bin, but in weights.lock it is /src/weights/a.bin",
    );
  });

  test("whose directory lost a file of the lock is refused", async () => {
    const job = await locked("weights: [{source: ckpt, target: /src/weights}]\n");
    await writeFiles(join(job.cwd, "ckpt"), { "a.bin": "first" });
    const error = await failureOf(build(job));
    expect(error.code).toBe("file");
    expect(error.message).toContain('weight "b": listed in weights.lock, but no longer among the');
  });
});
