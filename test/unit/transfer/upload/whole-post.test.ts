import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { OcibundleError } from "../../../../src/errors.ts";
import type { BlobSource, BlobToMove } from "../../../../src/oci/content.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { createRegistry } from "../../../../src/registry/registry.ts";
import {
  unknownTraits,
  type RegistryTraits,
} from "../../../../src/transfer/upload/registry-traits.ts";
import { registryWriter } from "../../../../src/transfer/upload/registry-writer.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type MeddleNth,
  serveUploads,
  type UploadRegistry,
} from "../../../support/registry/upload-registry.ts";

const KiB = 1024;
const [tiny, small, large] = [10 * KiB, 300 * KiB, 20 * KiB * KiB].map((size) => randomBytes(size));
if (tiny === undefined || small === undefined || large === undefined) throw new Error("no bytes");

let registry: UploadRegistry;
afterEach(async () => registry.stop());

const clock = { now: Date.now, random: () => 0, sleep: () => Promise.resolve() };
const { signal } = new AbortController();

function moved(bytes: Uint8Array, more: Partial<BlobToMove> = {}): BlobToMove {
  const source: BlobSource = { kind: "bytes", bytes };
  const mediaType = "application/vnd.ocibundle.weights.part.v1";
  return {
    descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length },
    source: () => Promise.resolve(source),
    group: "weights",
    label: "a part",
    ...more,
  };
}

/** A registry, and uploads to it that tell in the end what was told of bytes. */
async function begin(meddle?: MeddleNth, known: Partial<RegistryTraits> = {}) {
  registry = await serveUploads(meddle);
  const client = createRegistry(registry.host, { clock });
  const repository = client.repository("acme/llama");
  const traits = { ...unknownTraits(), ...known };
  const writer = registryWriter(repository, {
    traits: new Map([[registry.host, traits]]),
    clock,
    retries: { tries: 3, firstWait: 1, longestWait: 1 },
  });
  const write = async (move: BlobToMove, ofMany = false): Promise<number> => {
    let told = 0;
    await writer.writeBlob(move, { signal, ofMany, onBytes: (bytes) => void (told += bytes) });
    expect(await writer.hasBlob(move.descriptor, signal)).toBe(true);
    return told;
  };
  return { write, traits };
}

/** The requests that bring bytes or ask for a session. */
const sent = (): string[] =>
  registry.seen
    .filter(({ method }) => ["POST", "PUT", "PATCH", "DELETE"].includes(method))
    .map(({ method, query }) => (query.has("digest") ? `${method} of a blob` : method));

const isWhole = (request: Request): boolean =>
  request.method === "POST" && new URL(request.url).searchParams.has("digest");

const changed = () => Promise.reject(new OcibundleError("integrity", "the file changed"));

/** A file that is known to have changed. */
const changedFile = (): Promise<BlobSource> =>
  Promise.resolve({ kind: "file", path: import.meta.path, offset: 0, check: changed });

const takes = { wholePosts: true, rate: 100_000 };

describe("whether a registry takes a blob in one POST", () => {
  test("is found out with a small blob, and used for the next ones up to the size of one PUT", async () => {
    const { write, traits } = await begin();
    expect(await write(moved(tiny), true)).toBe(tiny.length);
    expect(traits.wholePosts).toBe(true);
    expect(await write(moved(small))).toBe(small.length);
    expect(sent()).toEqual(["POST of a blob", "POST of a blob"]);
    await write(moved(large));
    expect(sent().slice(2)).not.toContain("POST of a blob");
  });

  test("is not asked with a blob of few, nor with one that is not tiny", async () => {
    const { write, traits } = await begin();
    await write(moved(tiny));
    await write(moved(small), true);
    expect(traits.wholePosts).toBeUndefined();
    expect(sent()).toEqual(["POST", "PUT of a blob", "POST", "PUT of a blob"]);
  });

  test.each([
    ["opens a session", 202, { location: "/v2/acme/llama/blobs/uploads/1" }],
    ["refuses it", 405, {}],
    ["asks for a length", 411, {}],
    ["says that it has the blob, and does not", 201, {}],
  ])("is no where it %s: the blob goes the other way", async (_, status, headers) => {
    const { write, traits } = await begin(async (request, next) => {
      if (!isWhole(request)) return next(request);
      await request.body?.cancel();
      return new Response(null, { status, headers });
    });
    expect(await write(moved(tiny), true)).toBe(tiny.length);
    expect(traits.wholePosts).toBe(false);
    await write(moved(small), true);
    const whole = sent().filter((request) => request === "POST of a blob");
    expect(whole.length).toBe(1);
  });

  test("is no where the connection breaks", async () => {
    const { write, traits } = await begin((request, next) => {
      if (isWhole(request)) throw new Error("gone");
      return next(request);
    });
    expect(await write(moved(tiny), true)).toBe(tiny.length);
    expect(traits.wholePosts).toBe(false);
  });
});

describe("a blob in one POST", () => {
  test.each([
    ["answered with 500", () => new Response(null, { status: 500 })],
    ["answered with 413", () => new Response(null, { status: 413 })],
    ["cut off", () => Promise.reject(new Error("gone"))],
  ])("that is %s goes in a session, and is counted once", async (_, answer) => {
    const { write } = await begin(async (request, next) => {
      if (!isWhole(request)) return next(request);
      await request.body?.cancel();
      return await answer();
    }, takes);
    expect(await write(moved(small))).toBe(small.length);
    expect(sent()).toEqual(["POST of a blob", "POST", "PUT of a blob"]);
  });

  test("whose answer is lost is sent again, which does no harm", async () => {
    const { write } = await begin(async (request, next) => {
      const response = await next(request);
      return isWhole(request) ? new Response(null, { status: 502 }) : response;
    }, takes);
    expect(await write(moved(small))).toBe(small.length);
  });

  test("that the registry answers with a session is the last one", async () => {
    const { write, traits } = await begin(async (request, next) => {
      if (!isWhole(request)) return next(request);
      await request.body?.cancel();
      const [url = ""] = request.url.split("?");
      return next(new Request(url, { method: "POST" }));
    }, takes);
    await write(moved(small));
    expect(traits.wholePosts).toBe(false);
    await write(moved(tiny));
    expect(sent().filter((request) => request === "POST of a blob").length).toBe(1);
  });

  test("of a registry that stored other bytes is an error when those in a session are other ones too", async () => {
    const { write } = await begin(undefined, takes);
    const descriptor = { ...moved(tiny).descriptor, size: small.length };
    expect(await failureOf(write(moved(small, { descriptor })))).toMatchObject({
      code: "integrity",
    });
  });

  test("of a file that has changed is not sent a second time", async () => {
    const { write } = await begin(undefined, takes);
    const other = { ...moved(tiny).descriptor, size: small.length };
    const failure = await failureOf(
      write(moved(small, { descriptor: other, source: changedFile })),
    );
    expect(failure.message).toContain("the file changed");
    expect(sent()).toEqual(["POST of a blob"]);
  });

  test("that the registry said to have and has not goes in a session when it is written again", async () => {
    const { write, traits } = await begin(async (request, next) => {
      if (!isWhole(request)) return next(request);
      await request.body?.cancel();
      return new Response(null, { status: 201 });
    }, takes);
    const lost = moved(small);
    await expect(write(lost)).rejects.toThrow();
    expect(await write(lost)).toBe(small.length);
    expect(sent()).toEqual(["POST of a blob", "POST", "PUT of a blob"]);
    expect(traits.wholePosts).toBe(false);
  });

  test("is not tried where a mount offers a session", async () => {
    const { write } = await begin(undefined, takes);
    await write(moved(small, { mountFrom: ["acme/other"] }));
    expect(sent()).toEqual(["POST", "PUT of a blob"]);
  });
});
