import { describe, expect, test } from "bun:test";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BuildRequest, buildModel } from "../../../../src/model/jobs/build.ts";
import { inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, jobIn, lock, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const build = (job: Job, request: Partial<BuildRequest>) =>
  buildModel(job, {
    ...pushOfNothing,
    reference: undefined,
    output: "oci:out",
    ...request,
  });

const bundle = { image: "oci:image:v1", weights: ["weights"] };

describe("the parts of a model", () => {
  test("are bundled where there are weights, and stand alone where there are none", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    expect((await build(job, { ...bundle, output: "oci:bundle" })).model.type).toBe("bundle");
    await rm(join(job.cwd, "weights.lock"));
    const alone = await build(job, { image: "oci:image:v1", output: "oci:alone" });
    expect(alone.model).toMatchObject({ type: "image", images: [{ platform: "linux/amd64" }] });
  });

  test("the weights alone are an artifact", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    expect((await build(job, { weights: ["weights"] })).model.type).toBe("weights");
  });

  test("the weights are the same whatever they are bundled with", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const one = await build(job, { ...bundle, output: "oci:one" });
    const two = await build(job, { weights: ["weights"], output: "oci-archive:two.tar" });
    expect(one.model.weights?.digest).toBe(two.model.digest);
  });

  test("an image with weights already gets others in their place", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const before = await build(job, { ...bundle, output: "oci:before" });
    await writeFiles(join(job.cwd, "weights"), { "a.bin": "other" });
    await lock(job);
    const after = await build(job, { ...bundle, image: "oci:before", output: "oci:after" });
    expect(after.model.images).toEqual(before.model.images);
    expect(after.model.weights?.digest).not.toBe(before.model.weights?.digest ?? "sha256:");
    expect(after.model.others).toEqual([]);
  });

  test.each([
    [{}, "usage"],
    [{ image: "oci:image", format: "bundle", lock: undefined }, "usage"],
    [{ image: "oci:image", weights: ["weights"], format: "standalone" }, "usage"],
    [{ weights: ["weights"], platform: "linux/amd64" }, "usage"],
    [{ image: "oci:image", platform: "linux/s390x" }, "not_found"],
    [{ image: "oci:image", weightsFrom: "oci:image", weights: ["weights"] }, "usage"],
    [{ image: "oci:image", weightsFrom: "oci:image" }, "not_found"],
    [{ image: "docker-daemon:a:b" }, "network"],
    [{ image: "oci:image", output: "registry.example.com/a/b" }, "usage"],
    [{ image: "oci:image", lock: "other.lock" }, "file"],
  ] as const)("%j is %s", async (request, code) => {
    const job = await preparedJob({ "a.bin": "first" });
    if (!("weights" in request)) await rm(join(job.cwd, "weights.lock"));
    expect((await failureOf(build(job, request))).code).toBe(code);
    expect(await readdir(job.cwd)).not.toContain("out");
  });
});

describe("which files are the lock's", () => {
  test("is said by directories, by single files, and by the project file", async () => {
    const job = await preparedJob({ "a.bin": "first", "sub/b.bin": "second" });
    await writeFiles(job.cwd, { "elsewhere/x": "first" });
    const first = await build(job, { weights: ["weights"], output: "oci:1" });
    const file = ["a=elsewhere/x", "sub/b=weights/sub/b.bin"];
    expect((await build(job, { file, output: "oci:2" })).model.digest).toBe(first.model.digest);
    await writeFile(
      join(job.cwd, "ocibundle.yaml"),
      "weights:\n  - source: weights\n    target: /src/weights\n",
    );
    expect((await build(job, { output: "oci:3" })).model.digest).toBe(first.model.digest);
  });

  test.each([
    [{ file: ["a"] }, '--file "a": not a NAME=PATH'],
    [{ file: ["nobody=weights/a.bin"] }, '--file nobody=…: weights.lock has no "nobody"'],
    [{ file: ["a=weights"] }, 'weights" is a directory'],
    [{ file: ["a=missing.bin"] }, 'missing.bin" does not exist'],
    [{ weights: ["missing"] }, 'missing" does not exist'],
    [{ file: ["a=weights/b.bin"] }, "has 6 bytes, expected 5 (weights.lock)"],
    [
      { file: ["b=weights/b.bin"] },
      'weight "a": listed in weights.lock, but not among the files of --file',
    ],
    [{}, ": listed in weights.lock, but no --weights or --file was given"],
  ])("%j: …%s", async (request, message) => {
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    const error = await failureOf(build(job, request));
    expect(error.message).toEndWith(message);
  });

  test("files that the lock does not have are told of, and go nowhere", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    await writeFiles(join(job.cwd, "weights"), { "b.bin": "second", "c.bin": "third" });
    const { model } = await build(job, { weights: ["weights"] });
    expect(model.weights?.files.map(({ name }) => name)).toEqual(["a"]);
    expect(job.warnings()).toEqual(['weight "b" and 1 more are not in weights.lock']);
  });

  test("an empty lock makes no model", async () => {
    const job = jobIn(await temporaryDirectory());
    const empty = { version: "1", created: "2026-02-02T10:00:00Z", files: [] };
    await writeFile(join(job.cwd, "weights.lock"), JSON.stringify(empty));
    expect(await failureOf(build(job, {}))).toMatchObject({
      code: "file",
      message: "build oci:out: weights.lock lists no files",
    });
  });
});

describe("weights that are stored compressed", () => {
  const text = "the same words again and again\n".repeat(100_000);

  test.each([
    ["zstd", "small words\n"],
    ["gzip", "small words\n"],
    ["zstd", text],
    ["gzip", text],
  ] as const)("%s are made again as the lock has them", async (compression, content) => {
    const job = await preparedJob({ "a.bin": content });
    await lock(job, compression);
    // What locking left in the cache is gone, as on another machine.
    await rm(join(job.cwd, ".cache"), { recursive: true, force: true });
    const { model } = await build(job, { weights: ["weights"] });
    const [file] = model.weights?.files ?? [];
    expect(file?.mediaType).toEndWith(`+${compression}`);
    const blob = await readFile(join(job.cwd, "out/blobs/sha256", file?.digest.slice(7) ?? ""));
    expect(blob.byteLength).toBe(file?.size ?? -1);
  });

  test("come from the cache where they are there", async () => {
    const job = await preparedJob({ "a.bin": text });
    await lock(job, "zstd");
    await rm(join(job.cwd, "weights"), { recursive: true });
    expect((await build(job, {})).sent.blobs).toBe(2);
  });

  test.each(["short", text])(
    "that changed are integrity, and nothing is made of them",
    async (content) => {
      const job = await preparedJob({ "a.bin": content });
      await lock(job, "zstd");
      await rm(join(job.cwd, ".cache"), { recursive: true });
      await writeFiles(join(job.cwd, "weights"), { "a.bin": content.replace(/./, "X") });
      const error = await failureOf(build(job, { weights: ["weights"] }));
      expect(error.code).toBe("integrity");
      expect(error.message).toContain('weights/a.bin" has digest sha256:');
      expect(error.hint).toContain("run `ocibundle lock`");
    },
  );
});

describe("the layout that is written", () => {
  test("has the tag of the output, else of the reference, else latest", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    await build(job, { ...bundle, output: "oci:out:one", reference: "acme/llama:two" });
    await build(job, { ...bundle, output: "oci:out", reference: "acme/llama:two" });
    await build(job, { ...bundle, output: "oci:out" });
    for (const tag of ["one", "two", "latest"]) {
      expect((await inspectSource(job, `oci:out:${tag}`)).type).toBe("bundle");
    }
  });

  test("is told in words of its own", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const report = await build(job, bundle);
    expect(report).toMatchObject({ action: "built", target: "layout" });
    const phases = job.events.flatMap((event) => (event.type === "phase" ? [event.phase] : []));
    expect(phases).toContain("write");
    expect(phases).not.toContain("upload");
  });

  test("is not written over something else", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const error = await failureOf(build(job, { ...bundle, output: "oci:weights" }));
    expect(error.message).toEndWith("the directory contains other files");
  });

  test("as an archive is whole or not there", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    await writeFiles(join(job.cwd, "weights"), { "a.bin": "FIRST" });
    const elsewhere = { ...job, env: { ...job.env, OCIBUNDLE_CACHE: join(job.cwd, ".other") } };
    const request = { weights: ["weights"], output: "oci-archive:model.tar" };
    expect((await failureOf(build(elsewhere, request))).code).toBe("integrity");
    expect(await readdir(job.cwd)).not.toContain("model.tar");
  });
});
