import { describe, expect, test } from "bun:test";
import { link, open, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type PushRequest, pushModel } from "../../../../src/model/jobs/push.ts";
import { inspectRaw } from "../../../../src/model/jobs/inspect.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, jobIn, lock, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const push = (job: Job, reference: string, request: Partial<PushRequest> = {}) =>
  pushModel(job, { ...pushOfNothing, reference, weights: ["weights"], ...request });

const pushBundle = (job: Job, reference: string, request: Partial<PushRequest> = {}) =>
  push(job, reference, { image: "oci:image:v1", ...request });

const requests = ({ seen }: RecordingRegistry, method: string, path = /./) =>
  seen.filter((request) => request.method === method && path.test(request.path));

const tagged = async (registry: RecordingRegistry, name: string): Promise<string | null> => {
  const [repository, tag] = name.split(":");
  const response = await registry.ask(`/v2/${repository}/manifests/${tag}`, { method: "HEAD" });
  return response.headers.get("docker-content-digest");
};

describe("the order of a push", () => {
  test("blobs, the image and the weights by digest, then the index under the tag, once", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    const report = await pushBundle(job, `${registry.host}/acme/model:v1`);

    const puts = registry.done.filter((done) => done.startsWith("PUT "));
    const manifests = puts.filter((done) => done.includes("/manifests/"));
    const image = report.model.images[0]?.digest;
    const weights = report.model.weights?.digest;
    expect(manifests).toEqual([
      `PUT acme/model/manifests/${image}`,
      `PUT acme/model/manifests/${weights}`,
      "PUT acme/model/manifests/v1",
    ]);
    // Nothing is sent after the first manifest but manifests; then the children are asked for.
    const first = registry.done.indexOf(manifests[0] ?? "");
    const after = registry.done.slice(first);
    expect(after.slice(0, 3)).toEqual(manifests);
    expect(after.slice(3).toSorted()).toEqual(
      manifests
        .slice(0, 2)
        .map((put) => put.replace("PUT", "HEAD"))
        .toSorted(),
    );
    expect(puts.length - manifests.length).toBe(report.sent.blobs);
    expect(await tagged(registry, "acme/model:v1")).toBe(report.model.digest);
  });

  test("every image of a multi-platform source goes before the weights", async () => {
    const registry = await recordingRegistry();
    const platforms = ["linux/amd64", "linux/arm64"];
    const job = await preparedJob({ "a.bin": "first" }, { platforms, attestation: true });
    const { model } = await pushBundle(job, `${registry.host}/acme/model:v1`);
    expect(registry.done.filter((done) => done.includes("PUT acme/model/manifests/"))).toEqual(
      [
        ...model.images.map(({ digest }) => digest),
        ...model.others.map(({ digest }) => digest),
        model.weights?.digest,
        "v1",
      ].map((reference) => `PUT acme/model/manifests/${reference}`),
    );
  });

  test.each([
    ["a blob", /\/blobs\/uploads\//],
    ["the image's manifest", /\/manifests\/sha256/],
    ["the index", /\/manifests\/v1/],
  ])("when %s is refused, the tag stays where it was", async (_, path) => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const reference = `${registry.host}/acme/model:v1`;
    const before = await pushBundle(job, reference);

    await writeFiles(join(job.cwd, "weights"), { "a.bin": "changed" });
    await lock(job);
    registry.meddle((request, next) =>
      request.method === "PUT" && path.test(new URL(request.url).pathname)
        ? Response.json({ errors: [{ code: "DENIED", message: "no" }] }, { status: 403 })
        : next(request),
    );
    const error = await failureOf(pushBundle(job, reference));
    expect(error.code).toBe("denied");
    expect(await tagged(registry, "acme/model:v1")).toBe(before.model.digest);
  });
});

describe("a second push", () => {
  test("sends no blob, and asks for all of them at once", async () => {
    const registry = await recordingRegistry();
    const files = Object.fromEntries(
      Array.from({ length: 12 }, (_, index) => [`f${index}.bin`, `content ${index}`]),
    );
    const job = await preparedJob(files);
    await pushBundle(job, `${registry.host}/acme/model:v1`);

    // Each answer waits until eight are asked for: one after the other would wait for ever.
    const gate = Promise.withResolvers<void>();
    let waiting = 0;
    registry.seen.length = 0;
    registry.meddle(async (request, next) => {
      if (request.method === "HEAD" && (waiting += 1) === 8) gate.resolve();
      if (request.method === "HEAD") await gate.promise;
      return next(request);
    });
    const report = await pushBundle(job, `${registry.host}/acme/model:v1`);
    expect(report.sent).toEqual({ blobs: 0, bytes: 0 });
    expect(requests(registry, "POST")).toEqual([]);
    expect(requests(registry, "PATCH")).toEqual([]);
    expect(requests(registry, "PUT", /blobs/)).toEqual([]);
  });

  test("needs no weight file", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const { model } = await pushBundle(job, `${registry.host}/acme/model:v1`);
    await rm(join(job.cwd, "weights"), { recursive: true });
    const again = await pushBundle(job, `${registry.host}/acme/model:v2`, { weights: [] });
    expect(again.model.digest).toBe(model.digest);
    expect(await tagged(registry, "acme/model:v2")).toBe(model.digest);
  });
});

describe("weights that another repository has", () => {
  test("are mounted, and then not even looked for", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    await push(job, `${registry.host}/acme/one:v1`);
    await rm(join(job.cwd, "weights"), { recursive: true });
    const report = await push(job, `${registry.host}/acme/two:v1`, { weights: [] });
    expect(report.mounted.blobs).toBe(2);
    expect(report.sent.blobs).toBe(0);
  });

  test("are sent where the registry does not mount", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    await push(job, `${registry.host}/acme/one:v1`);
    registry.meddle((request, next) => {
      const url = new URL(request.url);
      url.searchParams.delete("mount");
      url.searchParams.delete("from");
      return next(new Request(url, request));
    });
    const report = await push(job, `${registry.host}/acme/two:v1`);
    expect(report.mounted.blobs).toBe(0);
    expect(report.sent.blobs).toBe(2);
  });

  test("of a model are used as they are, with --weights-from", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const from = `${registry.host}/acme/model:v1`;
    const { model } = await pushBundle(job, from);
    await rm(join(job.cwd, "weights.lock"));
    const request = { weights: [], weightsFrom: from, tagWeights: "weights-v1" };
    const report = await pushBundle(job, `${registry.host}/acme/new:v1`, request);
    expect(report.model.weights).toEqual(model.weights);
    expect(await tagged(registry, "acme/new:weights-v1")).toBe(model.weights?.digest ?? "");
  });
});

describe("a weight file that is not what the lock says", () => {
  const again =
    "the file changed since weights.lock was written; run `ocibundle lock`, then push again";

  test("is found before anything is sent: another size", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    await writeFiles(join(job.cwd, "weights"), { "b.bin": "longer than before" });
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(error).toMatchObject({ code: "integrity", hint: again });
    expect(error.message).toEndWith(`/weights/b.bin" has 18 bytes, expected 6 (weights.lock)`);
    expect(registry.seen).toEqual([]);
  });

  test("is found before anything is sent: other bytes of the same size", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    await writeFiles(join(job.cwd, "weights"), { "b.bin": "SECOND" });
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(error).toMatchObject({ code: "integrity", hint: again });
    expect(error.message).toContain(`has digest ${digestOf("SECOND")}`);
    expect(registry.seen).toEqual([]);
  });

  test("was only touched: then it is read again, and pushed", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    await utimes(join(job.cwd, "weights/a.bin"), 1, 1);
    const report = await push(job, `${registry.host}/acme/model:v1`);
    expect(report.sent.blobs).toBe(2);
    const hashed = () =>
      job.events.filter(
        ({ type, ...rest }) => type === "phase" && "phase" in rest && rest.phase === "hash",
      ).length;
    const before = hashed();
    await push(job, `${registry.host}/acme/model:v1`);
    expect(hashed()).toBe(before);
  });

  test.each(["in place", "by another file"])("changes %s before it is sent", async (how) => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const path = join(job.cwd, "weights/a.bin");
    registry.meddle(async (request, next) => {
      // It was looked at before this.
      if (request.method === "POST" && how === "in place") await writeFile(path, "FIRST");
      if (request.method === "POST" && how === "by another file") {
        await writeFile(`${path}.new`, "FIRST");
        await rename(`${path}.new`, path);
      }
      return next(request);
    });
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(error).toMatchObject({ code: "integrity", hint: again });
    expect(error.message).toEndWith('/weights/a.bin" changed while it was sent');
    expect(await tagged(registry, "acme/model:v1")).toBeNull();
  });

  test.each(["touched", "linked to"])(
    "is only %s while a connection breaks: it is read again, and sent",
    async (how) => {
      const registry = await recordingRegistry();
      const job = await preparedJob({ "a.bin": "first" });
      const path = join(job.cwd, "weights/a.bin");
      let broken = 0;
      registry.meddle(async (request, next) => {
        if (request.method !== "PUT" || !request.url.includes("/uploads/")) return next(request);
        if ((broken += 1) > 2) return next(request);
        await (how === "touched" ? utimes(path, broken, broken) : link(path, `${path}.${broken}`));
        return new Response(null, { status: 503 });
      });
      await push(job, `${registry.host}/acme/model:v1`);
      expect(broken).toBeGreaterThan(2);
      expect(await tagged(registry, "acme/model:v1")).not.toBeNull();
    },
  );

  test("changes half-way through", async () => {
    const registry = await recordingRegistry();
    const size = 40 * 1024 * 1024;
    const job = await preparedJob({ "a.bin": new Uint8Array(size) });
    const path = join(job.cwd, "weights/a.bin");
    let sentParts = 0;
    registry.meddle(async (request, next) => {
      const response = await next(request);
      if (request.method === "PATCH" && (sentParts += 1) === 1) {
        const file = await open(path, "r+");
        await file.write(new Uint8Array([1]), 0, 1, size - 1);
        await file.close();
      }
      return response;
    });
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(sentParts).toBeGreaterThan(1);
    expect(error).toMatchObject({ code: "integrity", hint: again });
    expect(error.message).toEndWith('/weights/a.bin" changed while it was sent');
    expect(await tagged(registry, "acme/model:v1")).toBeNull();
  });

  test("is gone while it is sent", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const path = join(job.cwd, "weights/a.bin");
    registry.meddle(async (request, next) => {
      if (request.method === "POST") await rm(path, { force: true });
      return next(request);
    });
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(error).toMatchObject({ code: "file" });
    expect(error.message).toEndWith('/weights/a.bin" does not exist');
  });
});

describe("a weight file that is not there", () => {
  test("is found before anything is sent", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    await rm(join(job.cwd, "weights/b.bin"));
    const error = await failureOf(push(job, `${registry.host}/acme/model:v1`));
    expect(error).toMatchObject({
      code: "file",
      message: `push ${registry.host}/acme/model:v1: weight "b": listed in weights.lock, but not among the files of --weights "weights"`,
      hint: "specify its directory with --weights DIR, or the file with --file NAME=PATH",
    });
    expect(requests(registry, "POST")).toEqual([]);
  });

  test("is missed by a dry run as well", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const error = await failureOf(
      push(job, `${registry.host}/acme/model:v1`, { weights: [], dryRun: true }),
    );
    expect(error.message).toEndWith("weights.lock, but no --weights or --file was given");
  });

  test("is an error where the registry has it, for its directory was named", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    await push(job, `${registry.host}/acme/model:v1`);
    await rm(join(job.cwd, "weights/b.bin"));
    const error = await failureOf(push(job, `${registry.host}/acme/model:v2`));
    expect(error.message).toEndWith('not among the files of --weights "weights"');
    expect(await tagged(registry, "acme/model:v2")).toBeNull();
  });

  test("is not needed where the registry has it and nothing names it", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    await push(job, `${registry.host}/acme/model:v1`);
    await rm(join(job.cwd, "weights/b.bin"));
    const some = { weights: [], file: ["a=weights/a.bin"] };
    expect((await push(job, `${registry.host}/acme/model:v2`, some)).sent.blobs).toBe(0);
    expect((await push(job, `${registry.host}/acme/model:v3`, { weights: [] })).sent.blobs).toBe(0);
  });
});

describe("a dry run", () => {
  test("writes nothing and says what would be sent", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first", "b.bin": "first" });
    const report = await pushBundle(job, `${registry.host}/acme/model:v1`, { dryRun: true });
    expect(registry.seen.every(({ method }) => method === "HEAD" || method === "GET")).toBeTrue();
    expect(report.action).toBe("would-push");
    const weights = report.plan?.filter(({ kind }) => kind === "weight");
    // Two names of one blob are sent once.
    expect(weights).toEqual([
      {
        kind: "weight",
        name: "a",
        digest: digestOf("first"),
        mediaType: "application/vnd.cog.weights.layer.v1",
        size: 5,
        outcome: "sent",
      },
    ]);
  });
});

describe("a dry run where another repository has the weights", () => {
  test("foresees that they are mounted, and does without their files", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    await push(job, `${registry.host}/acme/one:v1`);
    await rm(join(job.cwd, "weights"), { recursive: true });
    registry.seen.length = 0;
    const request = { weights: [], dryRun: true };
    const report = await push(job, `${registry.host}/acme/two:v1`, request);
    expect(report.mounted.blobs).toBe(2);
    expect(report.plan?.map(({ outcome }) => outcome)).toEqual(["mounted", "mounted"]);
    expect(registry.seen.every(({ method }) => method === "HEAD" || method === "GET")).toBeTrue();
  });

  test("misses the files where it has removed them since", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    await push(job, `${registry.host}/acme/one:v1`);
    await rm(join(job.cwd, "weights"), { recursive: true });
    registry.meddle(() => new Response(null, { status: 404 }));
    const request = { weights: [], dryRun: true };
    const error = await failureOf(push(job, `${registry.host}/acme/two:v1`, request));
    expect(error.message).toEndWith("weights.lock, but no --weights or --file was given");
  });
});

describe("what is wrong with a request", () => {
  test("a digest is no place to push to", async () => {
    const job = jobIn(await temporaryDirectory());
    const reference = `localhost:1/acme/model@sha256:${"0".repeat(64)}`;
    expect(await failureOf(push(job, reference))).toMatchObject({
      code: "usage",
      hint: "use a tag, such as localhost:1/acme/model:v1",
    });
  });

  test.each([
    [{ tagWeights: "-x" }, "not a tag"],
    [{ tagWeights: "v1" }, "the model has the same tag"],
    [{ tagWeights: "w", image: undefined }, "the model has no index with a weights artifact"],
  ])("%j: %s", async (request, why) => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const error = await failureOf(pushBundle(job, `${registry.host}/acme/model:v1`, request));
    expect(error.code).toBe("usage");
    expect(error.message).toEndWith(why);
    expect(requests(registry, "PUT")).toEqual([]);
  });
});

test("what is pushed is byte for byte what can be read back", async () => {
  const registry = await recordingRegistry();
  const job = await preparedJob({ "a.bin": "first" });
  const reference = `${registry.host}/acme/model:v1`;
  const { model } = await pushBundle(job, reference);
  expect<string>(digestOf(await inspectRaw(job, reference))).toBe(model.digest);
});
