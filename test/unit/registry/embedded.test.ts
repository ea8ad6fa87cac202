import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { registryReader } from "../../../src/registry/reader.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import type { Registry } from "../../../src/registry/types.ts";
import { serveHttp } from "../../../src/harness/registry/instance/http-server.ts";
import { createEmbeddedRegistry } from "../../../src/harness/registry/routes/registry.ts";
import { never } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  bodyOf,
  manifestOf,
  openUpload,
  readAll,
} from "../../support/registry/registry-client.ts";

let registry: Registry;
let end: () => Promise<void>;

beforeAll(async () => {
  const storage = await mkdtemp(join(tmpdir(), "ocibundle-registry-"));
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle: await createEmbeddedRegistry({ storage }),
  });
  registry = createRegistry(`127.0.0.1:${server.port}`);
  end = async () => {
    await server.stop();
    await rm(storage, { recursive: true, force: true });
  };
});
afterAll(() => end());

const content = "the weights of a very small model";
const blob = blobOf(content);

async function push(repository: string, text = content): Promise<void> {
  const session = await openUpload(registry.repository(repository));
  await session.finish(blobOf(text).digest, bodyOf(text), never);
}

test("the registry answers to its name", () => registry.ping(never));

describe("an upload", () => {
  test("goes in chunks, and says at each how far it is", async () => {
    const repository = registry.repository("up/chunks");
    const session = await openUpload(repository);
    expect(await session.offset(never)).toBe(0);
    expect(await session.patchChunk(0, bodyOf(content.slice(0, 10)), never)).toBe(10);
    expect(await session.offset(never)).toBe(10);
    expect(await session.patchChunk(10, bodyOf(content.slice(10, 20)), never)).toBe(20);
    await session.finish(blob.digest, bodyOf(content.slice(20)), never);
    expect(await repository.headBlob(blob.digest, never)).toBe(blob.size);
  });

  test("goes in one PATCH, and ends without a body", async () => {
    const repository = registry.repository("up/patch");
    const session = await openUpload(repository);
    expect(await session.patchAll(bodyOf(content), never)).toBe(blob.size);
    await session.finish(blob.digest, undefined, never);
    expect(await repository.headBlob(blob.digest, never)).toBe(blob.size);
  });

  test("of one byte, and of none, knows what it has", async () => {
    const repository = registry.repository("up/tiny");
    const session = await openUpload(repository);
    expect(await session.patchChunk(0, bodyOf("x"), never)).toBe(1);
    expect(await session.offset(never)).toBe(1);
    await session.finish(blobOf("x").digest, undefined, never);
    await (await openUpload(repository)).finish(blobOf("").digest, bodyOf(""), never);
    expect(await repository.headBlob(blobOf("").digest, never)).toBe(0);
  });

  test("goes on from its location in another run", async () => {
    const repository = registry.repository("up/resume");
    const first = await openUpload(repository);
    await first.patchChunk(0, bodyOf(content.slice(0, 10)), never);
    const second = repository.resumeUpload(first.location);
    expect(await second.offset(never)).toBe(10);
    await second.patchChunk(10, bodyOf(content.slice(10)), never);
    await second.finish(blob.digest, undefined, never);
    expect(await repository.headBlob(blob.digest, never)).toBe(blob.size);
  });

  test("that was given up is gone", async () => {
    const session = await openUpload(registry.repository("up/cancel"));
    await session.cancel();
    expect(await session.offset(never)).toBeUndefined();
    await session.cancel();
  });

  test("of other bytes is an integrity error, and leaves nothing", async () => {
    const repository = registry.repository("up/wrong");
    const session = await openUpload(repository);
    const failure = await errorOf(session.finish(blob.digest, bodyOf("other"), never));
    expect(failure).toMatchObject({ code: "integrity" });
    expect(failure.message).toContain(`up/wrong: the registry rejected blob ${blob.digest}`);
    expect(await repository.headBlob(blob.digest, never)).toBeUndefined();
  });

  test("is not needed where the blob can be mounted", async () => {
    await push("mount/from");
    const repository = registry.repository("mount/to");
    const mount = { digest: blob.digest, from: "mount/from" };
    expect(await repository.startUpload({ mount }, never)).toEqual({ mounted: true });
    expect(await repository.headBlob(blob.digest, never)).toBe(blob.size);
  });

  test("is opened where there is nothing to mount", async () => {
    const mount = { digest: blobOf("nowhere").digest, from: "mount/none" };
    const started = await registry.repository("mount/to").startUpload({ mount }, never);
    expect(started.mounted).toBe(false);
  });
});

describe("a blob", () => {
  test("that is not there has no size, and no bytes", async () => {
    const repository = registry.repository("blob/none");
    expect(await repository.headBlob(blob.digest, never)).toBeUndefined();
    const failure = await errorOf(repository.getBlob(blob, undefined, never));
    expect(failure).toMatchObject({ code: "not_found" });
    expect(failure.message).toContain(`blob/none: blob ${blob.digest} not found`);
  });

  test("comes whole and in parts", async () => {
    await push("blob/parts");
    const repository = registry.repository("blob/parts");
    const whole = await repository.getBlob(blob, undefined, never);
    expect(whole.range).toEqual({ start: 0, end: blob.size });
    expect(await readAll(whole.body)).toBe(content);
    const part = await repository.getBlob(blob, { start: 4, end: 11 }, never);
    expect(part.range).toEqual({ start: 4, end: 11 });
    expect(await readAll(part.body)).toBe("weights");
  });

  test("is read from any place by a reader", async () => {
    await push("blob/reader");
    const reader = registryReader(registry.repository("blob/reader"));
    const source = await reader.blobSource(blob, never);
    if (source.kind !== "stream") throw new Error("a registry streams");
    expect(await readAll(await source.open({ start: 0, end: blob.size }, never))).toBe(content);
    expect(await readAll(await source.open({ start: 4, end: 11 }, never))).toBe("weights");
    expect(await readAll(await source.open({ start: 7, end: 7 }, never))).toBe("");
  });
});

describe("a manifest", () => {
  const empty = blobOf("{}");
  const manifest = manifestOf({ config: empty, layers: [] });

  test("comes back as the bytes it was, by its tag and its digest", async () => {
    await push("manifest/one", "{}");
    const repository = registry.repository("manifest/one");
    await repository.putManifest("v1", manifest, never);
    expect(await repository.getManifest("v1", never)).toEqual(manifest);
    expect(await repository.getManifest(manifest.digest, never)).toEqual(manifest);
    expect(await repository.headManifest("v1", never)).toEqual({
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
    });
    expect(await registryReader(repository).readManifest("v1", never)).toEqual(manifest);
  });

  test("that is not there is none, or an error that names it", async () => {
    const repository = registry.repository("manifest/none");
    expect(await repository.headManifest("v1", never)).toBeUndefined();
    const failure = await errorOf(repository.getManifest("v1", never));
    expect(failure).toMatchObject({ code: "not_found" });
    expect(failure.message).toContain('manifest/none: manifest "v1" not found');
  });

  test("has its tags listed, and what refers to it", async () => {
    await push("manifest/listed", "{}");
    const repository = registry.repository("manifest/listed");
    for (const tag of ["v1", "v2", "v3"]) await repository.putManifest(tag, manifest, never);
    expect(await Array.fromAsync(repository.listTags(never))).toEqual(["v1", "v2", "v3"]);
    const subject = {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
    };
    const referrer = manifestOf({ artifactType: "a/b", config: empty, layers: [], subject });
    await repository.putManifest(referrer.digest, referrer, never);
    const found = await repository.listReferrers(manifest.digest, undefined, never);
    expect(found.map(({ digest, artifactType }) => [digest, artifactType])).toEqual([
      [referrer.digest, "a/b"],
    ]);
    expect(await repository.listReferrers(manifest.digest, "c/d", never)).toEqual([]);
    expect(await Array.fromAsync(repository.listTags(never))).toEqual(["v1", "v2", "v3"]);
  });

  test("that is too large is not sent", async () => {
    const large = manifestOf(
      { manifests: [], pad: "x".repeat(4 * 1024 * 1024) },
      mediaTypes.ociIndex,
    );
    const failure = await errorOf(
      registry.repository("manifest/large").putManifest("v1", large, never),
    );
    expect(failure).toMatchObject({ code: "file" });
    expect(failure.message).toContain("registries accept at most 4194304");
  });
});
