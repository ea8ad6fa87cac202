import { describe, expect, test } from "bun:test";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type CopyRequest, copyModel } from "../../../../src/model/jobs/copy.ts";
import { inspectRaw, inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { pushModel } from "../../../../src/model/jobs/push.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { copyRequest } from "../../../support/model/copy.ts";
import { type Job, jobIn, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const copy = (job: Job, source: string, target: string, request: Partial<CopyRequest> = {}) =>
  copyModel(job, copyRequest(source, target, request));

/** A bundle for two platforms on a registry, and what it is known by there. */
async function pushedModel(registry: RecordingRegistry) {
  const platforms = ["linux/amd64", "linux/arm64"];
  const job = await preparedJob({ "a.bin": "first", "b.bin": "second" }, { platforms });
  const reference = `${registry.host}/acme/model:v1`;
  const report = await pushModel(job, {
    ...pushOfNothing,
    reference,
    image: "oci:image:v1",
    weights: ["weights"],
  });
  registry.seen.length = 0;
  registry.done.length = 0;
  return { job, reference, report };
}

/** Puts something that refers to a manifest, as a signature does. */
async function putReferrer(
  registry: RecordingRegistry,
  repository: string,
  subject: Descriptor,
  content: string,
): Promise<Descriptor> {
  const config = await putBlob(registry, repository, "{}", mediaTypes.ociEmpty);
  const layer = await putBlob(registry, repository, content, "text/plain");
  return putManifest(registry, repository, undefined, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.example.signature",
    config,
    layers: [layer],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
  });
}

const rootOf = async (registry: RecordingRegistry, path: string): Promise<Descriptor> => {
  const response = await registry.ask(`/v2/${path}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const mediaType = response.headers.get("content-type") ?? "";
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
};

const referrersOf = async (registry: RecordingRegistry, repository: string, digest: string) => {
  const response = await registry.ask(`/v2/${repository}/referrers/${digest}`);
  const { manifests } = (await response.json()) as { manifests: Descriptor[] };
  return manifests.map((entry) => entry.digest);
};

const manifestPuts = ({ done }: RecordingRegistry) =>
  done.flatMap((request) => /^PUT .*\/manifests\/(.*)$/.exec(request)?.[1] ?? []);

describe("a copy within one registry", () => {
  test("mounts every blob, and none is read", async () => {
    const registry = await recordingRegistry();
    const { job, reference, report } = await pushedModel(registry);
    const copied = await copy(job, reference, `${registry.host}/acme/other:v1`);
    expect(copied.mounted.blobs).toBe(report.sent.blobs);
    expect(copied.sent.blobs).toBe(0);
    expect(
      registry.seen.filter(({ method, path }) => method === "GET" && path.includes("/blobs/")),
    ).toEqual([]);
    expect(copied.model.digest).toBe(report.model.digest);
  });

  test("mounts what any repository was seen to have, whatever the source", async () => {
    const registry = await recordingRegistry();
    const { job, reference } = await pushedModel(registry);
    await copy(job, reference, "oci:layout");
    const copied = await copy(job, "oci:layout", `${registry.host}/acme/again:v1`);
    expect(copied.sent.blobs).toBe(0);
    expect(registry.seen.some(({ query }) => query.get("from") === "acme/model")).toBeTrue();
    // And what was copied is known for the next one, where the repository that gave it before does not.
    registry.meddle((request, next) => {
      const url = new URL(request.url);
      if (url.searchParams.get("from") !== "acme/model") return next(request);
      url.search = "";
      return next(new Request(url, { method: "POST" }));
    });
    await copy(job, "oci:layout", `${registry.host}/acme/third:v1`);
    expect(registry.seen.some(({ query }) => query.get("from") === "acme/again")).toBeTrue();
  });
});

describe("a copy from registry to registry", () => {
  test("keeps every byte, and puts none on the disk", async () => {
    const [from, to] = [await recordingRegistry(), await recordingRegistry()];
    const { reference, report } = await pushedModel(from);
    const job = jobIn(await temporaryDirectory());
    const copied = await copy(job, reference, `${to.host}/mirror/model:v1`);
    expect(copied.sent).toEqual(report.sent);
    expect(await inspectRaw(job, `${to.host}/mirror/model:v1`)).toEqual(
      await inspectRaw(job, reference),
    );
    const images = report.model.images.map(({ digest }) => digest);
    expect(manifestPuts(to)).toEqual([...images, report.model.weights?.digest ?? "", "v1"]);
    const files = await readdir(job.cwd, { recursive: true, withFileTypes: true });
    const blobs = files.filter((file) => file.isFile() && file.parentPath.includes("blobs"));
    expect(blobs).toEqual([]);
  });

  test("goes on with what was copied before", async () => {
    const [from, to] = [await recordingRegistry(), await recordingRegistry()];
    const { job, reference, report } = await pushedModel(from);
    const target = `${to.host}/mirror/model:v1`;
    const taken: (Response | Promise<Response>)[] = [];
    to.meddle(async (request, next) => {
      const isBlob = request.method === "PUT" && request.url.includes("/blobs/");
      if (!isBlob) return next(request);
      if (taken.length === 2) {
        await Promise.all(taken);
        return new Response(null, { status: 403 });
      }
      const answer = next(request);
      taken.push(answer);
      return answer;
    });
    expect((await failureOf(copy(job, reference, target))).code).toBe("denied");
    to.meddle((request, next) => next(request));
    const again = await copy(job, reference, target);
    expect(again.present.blobs).toBeGreaterThanOrEqual(1);
    expect(again.present.blobs + again.sent.blobs).toBe(report.sent.blobs);
  });
});

describe("--platform", () => {
  test("takes one image and the weights, under an index of their own", async () => {
    const registry = await recordingRegistry();
    const { job, reference, report } = await pushedModel(registry);
    const target = `${registry.host}/acme/arm:v1`;
    const copied = await copy(job, reference, target, { platform: "linux/arm64" });
    expect(copied.model.images.map(({ platform }) => platform)).toEqual(["linux/arm64"]);
    expect(copied.model.images[0]?.digest).toBe(report.model.images[1]?.digest ?? "sha256:");
    expect(copied.model.weights).toEqual(report.model.weights);
    const raw = new TextDecoder().decode(await inspectRaw(job, target));
    expect(raw).toContain(`"vnd.cog.reference.digest":"${report.model.images[1]?.digest}"`);
  });

  test("of a source without weights takes the image alone", async () => {
    const { cwd, ...job } = await preparedJob(
      { "a.bin": "first" },
      { platforms: ["linux/amd64", "linux/arm64"] },
    );
    const copied = await copy({ ...job, cwd }, "oci:image:v1", "oci:arm:v1", {
      platform: "linux/arm64",
    });
    expect(copied.model).toMatchObject({ type: "image", images: [{ platform: "linux/arm64" }] });
  });

  test("that the image lacks is told with those that it has", async () => {
    const registry = await recordingRegistry();
    const { job, reference } = await pushedModel(registry);
    const error = await failureOf(copy(job, reference, "oci:never", { platform: "linux/s390x" }));
    expect(error).toMatchObject({ code: "not_found", hint: "it has linux/amd64, linux/arm64" });
  });
});

describe("--referrers", () => {
  test("brings what refers to the index and to its children, before the tag moves", async () => {
    const [from, to] = [await recordingRegistry(), await recordingRegistry()];
    const { job, reference, report } = await pushedModel(from);
    const root = await rootOf(from, "acme/model/manifests/v1");
    const signature = await putReferrer(from, "acme/model", root, "of the index");
    const countersignature = await putReferrer(from, "acme/model", signature, "of the signature");
    const weights = await rootOf(from, `acme/model/manifests/${report.model.weights?.digest}`);
    const attestation = await putReferrer(from, "acme/model", weights, "of the weights");

    await copy(job, reference, `${to.host}/mirror/model:v1`, { referrers: true });
    const there = (digest: string) => referrersOf(to, "mirror/model", digest);
    expect(await there(root.digest)).toEqual([signature.digest]);
    expect(await there(signature.digest)).toEqual([countersignature.digest]);
    expect(await there(weights.digest)).toEqual([attestation.digest]);
    expect(manifestPuts(to).at(-1)).toBe("v1");
    expect(manifestPuts(to).filter((put) => put === "v1")).toHaveLength(1);
  });

  test("goes through a layout and an archive, whose one tag still stands for the model", async () => {
    const registry = await recordingRegistry();
    const { job, reference } = await pushedModel(registry);
    const root = await rootOf(registry, "acme/model/manifests/v1");
    const signature = await putReferrer(registry, "acme/model", root, "of the index");
    const referrers = true;
    await copy(job, reference, "oci:layout", { referrers });
    await copy(job, "oci:layout", "oci-archive:model.tar", { referrers });
    const target = `${registry.host}/acme/back:v1`;
    const copied = await copy(job, "oci-archive:model.tar", target, { referrers });
    expect(copied.model.digest).toBe(root.digest);
    expect(await referrersOf(registry, "acme/back", root.digest)).toEqual([signature.digest]);
  });

  test("are left behind where they are not asked for", async () => {
    const registry = await recordingRegistry();
    const { job, reference } = await pushedModel(registry);
    const root = await rootOf(registry, "acme/model/manifests/v1");
    await putReferrer(registry, "acme/model", root, "of the index");
    await copy(job, reference, `${registry.host}/acme/bare:v1`);
    expect(await referrersOf(registry, "acme/bare", root.digest)).toEqual([]);
  });
});

const tagsOf = async (job: Job, layout: string): Promise<(string | undefined)[]> => {
  const text = await readFile(join(job.cwd, layout, "index.json"), "utf8");
  const { manifests } = JSON.parse(text) as { manifests: Descriptor[] };
  return manifests.map((entry) => entry.annotations?.["org.opencontainers.image.ref.name"]);
};

describe("the tag of a copy", () => {
  test("in a layout is the source's unless another is given", async () => {
    const registry = await recordingRegistry();
    const { job, reference, report } = await pushedModel(registry);
    await copy(job, reference, "oci:same");
    expect(await tagsOf(job, "same")).toEqual(["v1"]);
    await copy(job, "oci:same", "oci:again");
    expect(await tagsOf(job, "again")).toEqual(["v1"]);
    await copy(job, "oci:same", "oci:other:v2");
    expect(await tagsOf(job, "other")).toEqual(["v2"]);
    const byDigest = `${registry.host}/acme/model@${report.model.digest}`;
    await copy(job, byDigest, "oci:none");
    expect(await tagsOf(job, "none")).toEqual([undefined]);
  });

  test("may be a digest only when that is what is copied", async () => {
    const registry = await recordingRegistry();
    const { job, reference, report } = await pushedModel(registry);
    const target = `${registry.host}/acme/pinned`;
    const { model } = await copy(job, reference, `${target}@${report.model.digest}`);
    expect(model.digest).toBe(report.model.digest);
    const error = await failureOf(copy(job, reference, `${target}@sha256:${"0".repeat(64)}`));
    expect(error.code).toBe("usage");
    expect(error.hint).toBe(`use a tag, such as ${target}:v1`);
  });
});

describe("what can't be copied", () => {
  test("a lock, which holds no bytes", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    expect(await failureOf(copy(job, "weights.lock", "oci:never"))).toMatchObject({
      code: "usage",
      message: 'copy weights.lock to oci:never: "weights.lock" is a lock, which has no content',
    });
  });

  test.each(["docker-daemon:a:b", "docker-archive:a.tar"])("to %s", async (target) => {
    const job = await preparedJob({ "a.bin": "first" });
    expect(await failureOf(copy(job, "oci:image:v1", target))).toMatchObject({ code: "usage" });
  });

  test("a layout that lacks a blob leaves no tag and no archive", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.bin": "first" });
    const found = await inspectSource(job, "oci:image:v1");
    const layer = found.type === "lock" ? undefined : found.images[0]?.layers[0]?.digest;
    await rm(join(job.cwd, "image/blobs/sha256", layer?.slice(7) ?? ""));
    for (const target of [`${registry.host}/acme/broken:v1`, "oci-archive:broken.tar"]) {
      const error = await failureOf(copy(job, "oci:image:v1", target));
      expect(error.code).toBe("not_found");
    }
    expect(manifestPuts(registry)).toEqual([]);
    expect(await readdir(job.cwd)).not.toContain("broken.tar");
  });
});

test("a dry run writes nothing", async () => {
  const registry = await recordingRegistry();
  const job = await preparedJob({ "a.bin": "first" });
  const request = { dryRun: true, referrers: true };
  const report = await copy(job, "oci:image:v1", `${registry.host}/acme/dry:v1`, request);
  expect(report.action).toBe("would-copy");
  expect(registry.seen.every(({ method }) => method === "HEAD" || method === "GET")).toBeTrue();
});
