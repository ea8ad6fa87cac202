import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attachFile } from "../../../../src/model/jobs/attach.ts";
import { listRegistry } from "../../../../src/model/jobs/ls.ts";
import { listAllReferrers, referrersFailure } from "../../../../src/model/jobs/referrers.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { referrersTag } from "../../../../src/oci/referrers-tag.ts";
import { referrersTree } from "../../../../src/ui/referrers-report.ts";
import { tagTable } from "../../../../src/ui/ls-report.ts";
import { jobIn } from "../../../support/model/job.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const repository = "acme/model";

async function put(
  registry: RecordingRegistry,
  tag: string | undefined,
  members: object = {},
): Promise<Descriptor> {
  const config = await putBlob(registry, repository, "{}", mediaTypes.ociEmpty);
  return putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [config],
    ...members,
  });
}

/** A registry without the referrers API, whose list of `of` under the fallback tag has these entries. */
function listing(registry: RecordingRegistry, of: Descriptor, manifests: Descriptor[]): void {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  registry.meddle((request, next) =>
    request.url.includes("/referrers/")
      ? new Response(null, { status: 404 })
      : request.url.endsWith(`/manifests/${referrersTag(of.digest)}`)
        ? new Response(request.method === "HEAD" ? null : body, {
            headers: { "content-type": mediaTypes.ociIndex },
          })
        : next(request),
  );
}

test("a referrer that is missing, or its own subject, is passed over", async () => {
  const registry = await recordingRegistry();
  const image = await put(registry, "v1");
  const signature = await put(registry, undefined, {
    artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json",
    subject: image,
  });
  const huge = { ...image, digest: `sha256:${"9".repeat(64)}` as const, size: 1024 ** 3 };
  listing(registry, image, [huge, image, signature]);
  const job = jobIn(await temporaryDirectory());
  const found = await listAllReferrers(job, `${registry.host}/${repository}:v1`);
  expect(found.referrers.map(({ digest, kind }) => [digest, kind])).toEqual([
    [signature.digest, "signature"],
  ]);
  expect(job.warnings().join()).toContain("does not exist");
});

test("a referrer whose manifest is larger than any is broken, and the exit code tells of it", async () => {
  const registry = await recordingRegistry();
  const image = await put(registry, "v1");
  const huge = { ...image, digest: `sha256:${"9".repeat(64)}` as const, size: 1024 ** 3 };
  const body = JSON.stringify({ schemaVersion: 2, manifests: [huge] });
  let sent = 0;
  registry.meddle((request, next) => {
    if (request.url.includes("/referrers/")) return new Response(null, { status: 404 });
    if (request.url.endsWith(referrersTag(image.digest))) {
      return new Response(body, { headers: { "content-type": mediaTypes.ociIndex } });
    }
    if (!request.url.endsWith(huge.digest)) return next(request);
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        // A new one each time: the server lets go of what it has sent.
        const chunk = new Uint8Array(1024 * 1024).fill(32);
        sent += chunk.byteLength;
        controller.enqueue(chunk);
        if (sent >= 1024 ** 3) controller.close();
      },
    });
    return new Response(stream, { headers: { "content-type": mediaTypes.ociManifest } });
  });
  const job = jobIn(await temporaryDirectory());
  const found = await listAllReferrers(job, `${registry.host}/${repository}:v1`);
  expect(found.referrers).toMatchObject([{ digest: huge.digest, kind: null, size: null }]);
  expect(referrersFailure(found)?.message).toContain("1 referrers cannot be read");
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test("what is attached is found without the API, hostile names are escaped, and ls lists versions only", async () => {
  const registry = await recordingRegistry();
  const image = await put(registry, "v1");
  registry.meddle(async (request, next) => {
    if (request.url.includes("/referrers/")) return new Response(null, { status: 404 });
    const response = await next(request);
    response.headers.delete("OCI-Subject");
    return response;
  });
  const cwd = await temporaryDirectory();
  const name = "a\u202Egnp\u001B[31m.json";
  await writeFile(join(cwd, name), "content");
  const reference = `${registry.host}/${repository}:v1`;
  const attached = await attachFile(jobIn(cwd), { reference, file: name, type: "text/spdx" });
  expect(attached.subject).toBe(image.digest);
  await attachFile(jobIn(cwd), { reference: attached.reference, file: name, type: "text/x" });
  const found = await listAllReferrers(jobIn(cwd), reference);
  expect(found.referrers).toMatchObject([
    { digest: attached.digest, kind: "sbom", titles: [name], referrers: [{ kind: "other" }] },
  ]);
  const tree = referrersTree(found);
  expect(tree).toContain("a\\u202egnp\\x1b[31m.json");
  expect(tree).not.toContain("\u202E");
  const list = await listRegistry(jobIn(cwd), `${registry.host}/${repository}`);
  expect(list).toMatchObject({ tags: [{ tag: "v1" }], attachments: 2 });
});

test("a tag with control characters is listed as broken, and nothing is asked of it", async () => {
  const registry = await recordingRegistry();
  await put(registry, "v1");
  const hostile = "v2\u001B[2J\u202E";
  registry.meddle((request, next) =>
    request.url.endsWith("/tags/list") ? Response.json({ tags: ["v1", hostile] }) : next(request),
  );
  const list = await listRegistry(
    jobIn(await temporaryDirectory()),
    `${registry.host}/${repository}`,
  );
  if ("repositories" in list) throw new Error("not a repository");
  expect(list.tags).toMatchObject([
    { tag: "v1", error: null },
    { tag: hostile, digest: null },
  ]);
  expect(tagTable(list)).not.toContain("\u001B");
  expect(tagTable(list)).not.toContain("\u202E");
});

test("1,000 tags take no request after another", async () => {
  const registry = await recordingRegistry();
  const image = await put(registry, "v1");
  const names = Array.from({ length: 1000 }, (_, at) => `v${at}`);
  let now = 0;
  let most = 0;
  registry.meddle(async (request, next) => {
    const { pathname } = new URL(request.url);
    if (pathname.endsWith("/tags/list")) return Response.json({ tags: names });
    const tag = /\/manifests\/(v\d+)$/.exec(pathname)?.[1];
    if (tag === undefined) return next(request);
    now += 1;
    most = Math.max(most, now);
    const url = request.url.replace(/v\d+$/, image.digest);
    const response = await next(new Request(url, request));
    now -= 1;
    return response;
  });
  const list = await listRegistry(
    jobIn(await temporaryDirectory()),
    `${registry.host}/${repository}`,
  );
  expect("tags" in list && list.tags.length).toBe(1000);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(16);
  // The list, each tag once, and the referrers of the one manifest that they share.
  expect(registry.seen.length).toBeLessThan(1010);
});
