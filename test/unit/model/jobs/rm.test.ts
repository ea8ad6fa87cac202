import { describe, expect, test } from "bun:test";
import { remove, type RemovalRequest } from "../../../../src/model/jobs/rm.ts";
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

async function put(registry: RecordingRegistry, tag: string, name = "x"): Promise<Descriptor> {
  const config = await putBlob(registry, repository, `{"name":"${name}"}`, mediaTypes.ociConfig);
  const mediaType = mediaTypes.ociManifest;
  return putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: [],
  });
}

const digestOfTag = async (registry: RecordingRegistry, tag: string): Promise<string | null> => {
  const answer = await registry.ask(`/v2/${repository}/manifests/${tag}`, { method: "HEAD" });
  return answer.ok ? answer.headers.get("Docker-Content-Digest") : null;
};

async function rm(
  registry: RecordingRegistry,
  tag: string,
  more: Partial<RemovalRequest> = {},
): Promise<{ warnings: string[] }> {
  const job = jobIn(await temporaryDirectory());
  await remove(job, {
    reference: `${registry.host}/${repository}:${tag}`,
    digest: false,
    dryRun: false,
    confirm: () => Promise.resolve(true),
    ...more,
  });
  return { warnings: job.warnings() };
}

describe("rm of a tag", () => {
  test("puts back what a registry deletes with it", async () => {
    const registry = await recordingRegistry();
    const { digest } = await put(registry, "v1");
    await put(registry, "latest");
    registry.meddle((request, next) =>
      request.method === "DELETE"
        ? next(new Request(request.url.replace(/v1$/, digest), { method: "DELETE" }))
        : next(request),
    );
    const { warnings } = await rm(registry, "v1");
    expect(await digestOfTag(registry, "v1")).toBeNull();
    expect(await digestOfTag(registry, "latest")).toBe(digest);
    expect(warnings.join()).toContain("restored");
  });

  test("deletes nothing where the tag moved after the question", async () => {
    const registry = await recordingRegistry();
    await put(registry, "v1");
    const error = await failureOf(
      rm(registry, "v1", {
        confirm: async () => {
          await put(registry, "v1", "other");
          return true;
        },
      }),
    );
    expect(error.code).toBe("conflict");
    expect(error.message).toContain("nothing was deleted");
    expect(await digestOfTag(registry, "v1")).not.toBeNull();
  });

  test("counts what cosign keeps under a tag among what refers to it", async () => {
    const registry = await recordingRegistry();
    const { digest } = await put(registry, "v1");
    await put(registry, `${digest.replace(":", "-")}.sig`, "signature");
    let referrers = 0;
    await rm(registry, "v1", {
      confirm: (removal) => {
        ({ referrers } = removal);
        return Promise.resolve(true);
      },
    });
    expect(referrers).toBe(1);
  });

  test("deletes nothing without a yes", async () => {
    const registry = await recordingRegistry();
    await put(registry, "v1");
    const error = await failureOf(rm(registry, "v1", { confirm: () => Promise.resolve(false) }));
    expect(error.message).toBe("not confirmed: nothing was deleted");
    expect(registry.seen.some(({ method }) => method === "DELETE")).toBe(false);
  });
});

describe("rm of a manifest", () => {
  test("deletes nothing where it is unknown what needs it", async () => {
    const registry = await recordingRegistry();
    await put(registry, "v1");
    await put(registry, "v2", "other");
    registry.meddle((request, next) =>
      request.url.endsWith("/manifests/v2") ? new Response("no", { status: 403 }) : next(request),
    );
    const error = await failureOf(rm(registry, "v1", { digest: true }));
    expect(error.code).toBe("conflict");
    expect(error.message).toContain("unknown whether they need");
    expect(registry.seen.some(({ method }) => method === "DELETE")).toBe(false);
  });
});
