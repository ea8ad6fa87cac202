import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const copy = (job: Job, source: string, target: string) =>
  copyModel(job, { source, target, platform: undefined, referrers: true, dryRun: false });

/** Puts an image, or with a subject what refers to one, under a tag or by digest. */
async function put(
  registry: RecordingRegistry,
  content: string,
  {
    tag,
    subject,
    repository = "acme/model",
    layers = [content],
  }: {
    tag?: string;
    subject?: Descriptor;
    repository?: string;
    layers?: string[];
  },
): Promise<Descriptor> {
  const config = await putBlob(registry, repository, `{"of":"${content}"}`, mediaTypes.ociConfig);
  const described: Descriptor[] = [];
  for (const layer of layers) {
    described.push(await putBlob(registry, repository, layer, "text/plain"));
  }
  return putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: described,
    ...(subject && { subject }),
  });
}

const digestAt = async (registry: RecordingRegistry, path: string): Promise<string | null> => {
  const response = await registry.ask(`/v2/${path}`);
  await response.body?.cancel();
  return response.headers.get("docker-content-digest");
};

const hexOf = ({ digest }: Descriptor): string => digest.slice(7);

async function setting() {
  const [from, to] = [await recordingRegistry(), await recordingRegistry()];
  const job = jobIn(await temporaryDirectory());
  const image = await put(from, "image", { tag: "v1" });
  return { from, to, job, image, source: `${from.host}/acme/model:v1` };
}

describe("what cosign keeps under a tag", () => {
  test("comes under the same tag, to a registry and through a layout", async () => {
    const { from, to, job, image, source } = await setting();
    const kinds = ["sig", "att", "sbom"];
    const put3 = kinds.map((kind) => put(from, kind, { tag: `sha256-${hexOf(image)}.${kind}` }));
    const [signature, ...others] = await Promise.all(put3);
    const report = await copy(job, source, `${to.host}/mirror/model:v1`);
    expect(report.referrers).toBe(3);
    for (const [at, one] of [signature, ...others].entries()) {
      const path = `mirror/model/manifests/sha256-${hexOf(image)}.${kinds[at]}`;
      expect(await digestAt(to, path)).toBe(one?.digest ?? "");
    }
    await copy(job, source, "oci:layout");
    expect((await copy(job, "oci:layout", `${to.host}/back/model:v1`)).referrers).toBe(3);
  });

  test("replaces what the target has only where nothing is lost", async () => {
    const { from, to, job, image, source } = await setting();
    const tag = `sha256-${hexOf(image)}.sig`;
    const repository = "mirror/model";
    await put(from, "two signatures", { tag, layers: ["one", "two"] });
    await put(to, "one signature", { tag, repository, layers: ["one"] });
    await copy(job, source, `${to.host}/${repository}:v1`);
    await put(to, "another signature", { tag, repository, layers: ["one", "three"] });
    const error = await failureOf(copy(job, source, `${to.host}/${repository}:v2`));
    expect(error).toMatchObject({ code: "conflict" });
    expect(error.message).toContain(`tag "${tag}" has signatures or attestations`);
    expect(await digestAt(to, `${repository}/manifests/v2`)).toBeNull();
  });

  test.each([403, 500])("is not taken for none where its tag answers %d", async (status) => {
    const { from, to, job, source } = await setting();
    from.meddle((request, next) =>
      request.url.includes(".att") ? new Response(null, { status }) : next(request),
    );
    await failureOf(copy(job, source, `${to.host}/mirror/model:v1`));
    expect(await digestAt(to, "mirror/model/manifests/v1")).toBeNull();
  });
});

describe("a list of referrers", () => {
  test("that names what is gone, or what refers to something else, is told of and gone on with", async () => {
    const { from, to, job, image, source } = await setting();
    const other = await put(from, "not a referrer", {});
    const signature = await put(from, "signature", { subject: image });
    const gone = { ...signature, digest: digestOf("gone") };
    from.meddle((request, next) =>
      request.url.includes(`/referrers/${image.digest}`)
        ? Response.json({
            schemaVersion: 2,
            mediaType: mediaTypes.ociIndex,
            manifests: [gone, other, signature],
          })
        : next(request),
    );
    expect((await copy(job, source, `${to.host}/mirror/model:v1`)).referrers).toBe(1);
    expect(job.warnings()).toHaveLength(2);
    expect(job.warnings()[0]).toContain("does not exist");
    expect(job.warnings()[1]).toContain("does not refer to it");
  });

  test("in a layout may be under the tag that stands in for the API", async () => {
    const { from, to, job, image, source } = await setting();
    await put(from, "signature", { subject: image });
    await copy(job, source, "oci:layout");
    // As regclient writes it: the referrer is listed below the tag's index only.
    const file = join(job.cwd, "layout/index.json");
    const index = JSON.parse(await readFile(file, "utf8")) as { manifests: Descriptor[] };
    const isImage = (entry: Descriptor): boolean => entry.digest === image.digest;
    const list = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: index.manifests.filter((entry) => !isImage(entry)),
    });
    await writeFile(join(job.cwd, "layout/blobs/sha256", digestOf(list).slice(7)), list);
    const entry = {
      mediaType: mediaTypes.ociIndex,
      digest: digestOf(list),
      size: list.length,
      annotations: { "org.opencontainers.image.ref.name": `sha256-${hexOf(image)}` },
    };
    const manifests = [...index.manifests.filter(isImage), entry];
    await writeFile(file, JSON.stringify({ ...index, manifests }));
    expect((await copy(job, "oci:layout", `${to.host}/mirror/model:v1`)).referrers).toBe(1);
  });
});

describe("referrers without an end", () => {
  test("of referrers end the copy", async () => {
    const { from, to, job, image, source } = await setting();
    let subject = image;
    for (let depth = 0; depth < 10; depth += 1) {
      subject = await put(from, `link ${depth}`, { subject });
    }
    const error = await failureOf(copy(job, source, `${to.host}/mirror/model:v1`));
    expect(error.message).toContain("referrers are nested more than 8 levels deep");
    expect(await digestAt(to, "mirror/model/manifests/v1")).toBeNull();
  });

  test("that go in a circle are each copied once", async () => {
    const { from, to, job, image, source } = await setting();
    const signature = await put(from, "signature", { subject: image });
    from.meddle((request, next) =>
      request.url.includes(`/referrers/${signature.digest}`)
        ? Response.json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [image] })
        : next(request),
    );
    expect((await copy(job, source, `${to.host}/mirror/model:v1`)).referrers).toBe(1);
  });
});
