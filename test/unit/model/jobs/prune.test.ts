import { describe, expect, test } from "bun:test";
import { pruneRepository } from "../../../../src/model/jobs/prune.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const repository = "acme/model";

interface Content {
  tag?: string;
  /** A day of January 2026. */
  day?: number;
  subject?: Descriptor;
  artifactType?: string;
}

async function putImage(
  registry: RecordingRegistry,
  name: string,
  { tag, day, ...members }: Content = {},
): Promise<Descriptor> {
  const created =
    day === undefined ? {} : { created: `2026-01-${String(day).padStart(2, "0")}T00:00:00Z` };
  const text = JSON.stringify({ os: "linux", architecture: "amd64", name, ...created });
  const config = await putBlob(registry, repository, text, mediaTypes.ociConfig);
  const layer = await putBlob(registry, repository, `layer ${name}`, mediaTypes.ociLayer);
  return putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [layer],
    ...members,
  });
}

const putIndex = (registry: RecordingRegistry, tag: string, manifests: Descriptor[]) =>
  putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests,
  });

async function tagsOf(registry: RecordingRegistry): Promise<string[]> {
  const answer = await registry.ask(`/v2/${repository}/tags/list`);
  return ((await answer.json()) as { tags: string[] }).tags;
}

const has = async (registry: RecordingRegistry, { digest }: Descriptor): Promise<boolean> =>
  (await registry.ask(`/v2/${repository}/manifests/${digest}`, { method: "HEAD" })).ok;

async function prune(
  registry: RecordingRegistry,
  rules: { keepLast?: number; olderThan?: number; match?: string[]; dryRun?: boolean },
) {
  const job = jobIn(await temporaryDirectory());
  const result = await pruneRepository(job, {
    repository: `${registry.host}/${repository}`,
    keepLast: rules.keepLast,
    olderThan: rules.olderThan,
    match: rules.match ?? [],
    dryRun: rules.dryRun ?? false,
  });
  return { ...result, warnings: job.warnings() };
}

const cosign = (of: Descriptor) => `${of.digest.replace(":", "-")}.sig`;

type Next = (request: Request) => Response | Promise<Response>;

/** Distribution 2: a tag can't be deleted by its name. */
const refuseTags = (request: Request, next: Next) =>
  request.method === "DELETE" && !request.url.includes("sha256:")
    ? Response.json({ errors: [{ code: "DIGEST_INVALID" }] }, { status: 400 })
    : next(request);

const manifestsOnly = (registry: RecordingRegistry) => registry.meddle(refuseTags);

describe.each([
  ["deletes tags", () => undefined],
  ["deletes manifests only", manifestsOnly],
] as const)("prune, where a registry %s", (_name, meddle) => {
  test("keeps the newest, what their indexes list, and what refers to them", async () => {
    const registry = await recordingRegistry();
    meddle(registry);
    const shared = await putImage(registry, "shared", { day: 1 });
    const own = await putImage(registry, "own", { day: 2 });
    const old = await putIndex(registry, "v1", [shared, own]);
    const oldSignature = await putImage(registry, "old signature", { subject: old });
    const newest = await putImage(registry, "newest", { day: 9 });
    const kept = await putIndex(registry, "v2", [shared, newest]);
    const signature = await putImage(registry, "signature", { subject: kept });
    const oldTagged = await putImage(registry, "old sig tag", { tag: cosign(old) });
    const tagged = await putImage(registry, "sig tag", { tag: cosign(kept) });

    const dry = await prune(registry, { keepLast: 1, dryRun: true });
    expect(await tagsOf(registry)).toHaveLength(4);
    const done = await prune(registry, { keepLast: 1 });
    expect(done.freed).toBe(dry.freed);
    expect(await tagsOf(registry)).toEqual(expect.arrayContaining(["v2", cosign(kept)]));
    expect(await tagsOf(registry)).toHaveLength(2);
    for (const there of [shared, newest, kept, signature, tagged]) {
      expect(await has(registry, there)).toBe(true);
    }
    for (const gone of [old, own, oldSignature, oldTagged]) {
      expect(await has(registry, gone)).toBe(false);
    }
    expect(done.manifests.map(({ outcome }) => outcome)).toEqual(["deleted", "deleted", "deleted"]);
  });

  test("keeps a tag that moves at the last moment, and what it needs then", async () => {
    const registry = await recordingRegistry();
    const part = await putImage(registry, "part", { day: 1 });
    await putIndex(registry, "v1", [part]);
    await putImage(registry, "newest", { tag: "v2", day: 9 });
    const other = await putImage(registry, "other", { day: 3 });
    let pushed: Descriptor | undefined;
    registry.meddle(async (request, next) => {
      // Right before the tag is looked up for the last time another client pushes to it.
      if (pushed === undefined && request.method === "HEAD" && request.url.endsWith("/v1")) {
        pushed = await putIndex(registry, "v1", [part, other]);
      }
      return meddle === manifestsOnly ? refuseTags(request, next) : next(request);
    });
    const done = await prune(registry, { keepLast: 1 });
    expect(done.tags.find(({ tag }) => tag === "v1")).toMatchObject({
      outcome: "kept",
      reason: "moved",
    });
    expect(done.warnings.join()).toContain('tag "v1" moved to');
    expect(await tagsOf(registry)).toEqual(["v1", "v2"]);
    expect(await has(registry, part)).toBe(true);
    expect(await has(registry, other)).toBe(true);
  });
});

describe("prune", () => {
  test("counts two tags of one manifest as one version", async () => {
    const registry = await recordingRegistry();
    await putImage(registry, "a", { tag: "v1", day: 1 });
    await putImage(registry, "b", { tag: "v2", day: 2 });
    await putImage(registry, "b", { tag: "latest", day: 2 });
    const { tags } = await prune(registry, { keepLast: 2 });
    expect(tags.map(({ outcome }) => outcome)).toEqual(["kept", "kept", "kept"]);
  });

  test("keeps the manifest that another tag has, and fails where its tag can't go alone", async () => {
    const registry = await recordingRegistry();
    const image = await putImage(registry, "a", { tag: "pr-1", day: 1 });
    await putImage(registry, "a", { tag: "release", day: 1 });
    manifestsOnly(registry);
    const { tags } = await prune(registry, { keepLast: 0, match: ["pr-*"] });
    expect(tags.map(({ tag, reason }) => [tag, reason])).toEqual([
      ["pr-1", "unsupported"],
      ["release", "no-match"],
    ]);
    registry.meddle((request, next) => next(request));
    await prune(registry, { keepLast: 0, match: ["pr-*"] });
    expect(await tagsOf(registry)).toEqual(["release"]);
    expect(await has(registry, image)).toBe(true);
  });

  test("keeps what has no date, also where the date is a placeholder", async () => {
    const registry = await recordingRegistry();
    await putImage(registry, "a", { tag: "v1" });
    const config = await putBlob(
      registry,
      repository,
      '{"created":"1970-01-01T00:00:00Z"}',
      mediaTypes.ociConfig,
    );
    await putManifest(registry, repository, "v2", {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [],
    });
    const { tags, warnings } = await prune(registry, { olderThan: 1 });
    expect(tags.map(({ reason }) => reason)).toEqual(["undated", "undated"]);
    expect(warnings.join()).toContain("tags without a date are kept: 2");
  });

  test("deletes nothing where a tag can't be read", async () => {
    const registry = await recordingRegistry();
    await putImage(registry, "a", { tag: "v1", day: 1 });
    await putImage(registry, "b", { tag: "v2", day: 2 });
    registry.meddle((request, next) =>
      request.url.endsWith("/manifests/v2") ? new Response("no", { status: 403 }) : next(request),
    );
    const error = await failureOf(prune(registry, { keepLast: 1 }));
    expect(error.code).toBe("denied");
    expect(error.message).toContain('cannot read tag "v2"');
    expect(registry.seen.some(({ method }) => method === "DELETE")).toBe(false);
  });

  test("says that a registry deletes nothing", async () => {
    const registry = await recordingRegistry();
    await putImage(registry, "a", { tag: "v1", day: 1 });
    registry.meddle((request, next) =>
      request.method === "DELETE" ? new Response(null, { status: 405 }) : next(request),
    );
    const error = await failureOf(prune(registry, { keepLast: 0 }));
    expect(error.code).toBe("denied");
    expect(error.message).toContain("does not delete manifests");
    expect(await tagsOf(registry)).toEqual(["v1"]);
  });
});
