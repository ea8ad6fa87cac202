import { describe, expect, test } from "bun:test";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { isMisread } from "../../../src/registry/coded-blob.ts";
import { refusalOf } from "../../../src/registry/refusal.ts";
import { never, serve } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import { repositoryAt } from "../../support/registry/registry-client.ts";

const plain = new TextEncoder().encode("weights, ".repeat(5000));
const compress: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => gzipSync(bytes),
  "x-gzip": (bytes) => gzipSync(bytes),
  deflate: (bytes) => deflateSync(bytes),
  br: (bytes) => brotliCompressSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
};
const stored: Record<string, { bytes: Uint8Array; mediaType: string }> = {
  "plain weights": { bytes: plain, mediaType: "application/vnd.cog.weights.layer.v1" },
  "a gzip layer": {
    bytes: gzipSync(plain),
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  },
  "a zstd layer": {
    bytes: zstdCompressSync(plain),
    mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
  },
  "a Docker layer": {
    bytes: gzipSync(plain),
    mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
};

const blobOf = (bytes: Uint8Array, mediaType: string): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

/** What comes piece by piece has no Content-Length. */
const inChunks = (bytes: Uint8Array): ReadableStream<Uint8Array> => {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.byteLength) return controller.close();
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + 100)));
      at += 100;
    },
  });
};

for (const [coding, encode] of Object.entries(compress)) {
  describe(`with Content-Encoding: ${coding}`, () => {
    for (const [what, { bytes, mediaType }] of Object.entries(stored)) {
      const blob = blobOf(bytes, mediaType);
      const bodies: Record<string, () => Uint8Array | ReadableStream<Uint8Array>> = {
        "labelled, with its length": () => bytes,
        "labelled, in chunks": () => inChunks(bytes),
        "compressed on its way, with a length": () => encode(bytes),
        "compressed on its way, in chunks": () => inChunks(encode(bytes)),
      };
      for (const [how, body] of Object.entries(bodies)) {
        test(`${what} comes as it is stored: ${how}`, async () => {
          await using server = serve(() => {
            const sent = body();
            return new Response(sent instanceof ReadableStream ? sent : new Uint8Array(sent), {
              headers: { "content-encoding": coding },
            });
          });
          const answer = await repositoryAt(server.host).getBlob(blob, undefined, never);
          expect(new Uint8Array(await new Response(answer.body).arrayBuffer())).toEqual(
            new Uint8Array(bytes),
          );
        });
      }
    }
  });
}

test("a file that is compressed itself and only labelled is read right the second time", async () => {
  const bytes = gzipSync(plain);
  const blob = blobOf(bytes, "application/vnd.cog.weights.layer.v1");
  await using server = serve(
    () => new Response(inChunks(bytes), { headers: { "content-encoding": "gzip" } }),
  );
  const repository = repositoryAt(server.host);
  const read = async (): Promise<ArrayBuffer> =>
    new Response((await repository.getBlob(blob, undefined, never)).body).arrayBuffer();
  expect(isMisread(await errorOf(read()))).toBe(true);
  expect(new Uint8Array(await read())).toEqual(new Uint8Array(bytes));
});

test("a blob that decompresses to more than its size is not read on", async () => {
  const blob = { ...blobOf(plain, "application/octet-stream"), size: 100 };
  await using server = serve(
    () => new Response(inChunks(gzipSync(plain)), { headers: { "content-encoding": "gzip" } }),
  );
  const { body } = await repositoryAt(server.host).getBlob(blob, undefined, never);
  const failure = await errorOf(new Response(body).arrayBuffer());
  expect(failure).toMatchObject({ code: "integrity" });
  expect(failure.message).toContain("has more than 100 bytes, the descriptor has 100");
});

describe("a range", () => {
  const blob = blobOf(plain, "application/octet-stream");
  const range = { start: 10, end: 30 };
  const answer = (body: Uint8Array | ReadableStream<Uint8Array>, total = blob.size) =>
    serve(
      () =>
        new Response(body instanceof ReadableStream ? body : new Uint8Array(body), {
          status: 206,
          headers: { "content-encoding": "gzip", "content-range": `bytes 10-29/${total}` },
        }),
    );

  test("that is only labelled is taken", async () => {
    const part = plain.subarray(10, 30);
    await using server = answer(part);
    const { body } = await repositoryAt(server.host).getBlob(blob, range, never);
    expect(new Uint8Array(await new Response(body).arrayBuffer())).toEqual(part);
  });

  test("of compressed bytes is refused as a range, so that the whole is asked for", async () => {
    for (const server of [
      answer(gzipSync(plain.subarray(10, 30))),
      answer(inChunks(gzipSync(plain.subarray(10, 30)))),
      answer(gzipSync(plain).subarray(10, 30), gzipSync(plain).byteLength),
    ]) {
      await using _ = server;
      const asked = repositoryAt(server.host).getBlob(blob, range, never);
      expect(refusalOf(await errorOf(asked))?.status).toBe(206);
    }
  });
});

test("a HEAD that tells the length of compressed bytes is not believed", async () => {
  const blob = blobOf(plain, "application/octet-stream");
  await using server = serve(({ method, headers }) => {
    if (method === "HEAD") {
      return new Response(new Uint8Array(gzipSync(plain)), {
        headers: { "content-encoding": "gzip" },
      });
    }
    expect(headers.get("range")).toBe("bytes=0-0");
    const range = { "content-range": `bytes 0-0/${plain.byteLength}` };
    return new Response(plain.subarray(0, 1), { status: 206, headers: range });
  });
  expect(await repositoryAt(server.host).headBlob(blob.digest, never)).toBe(plain.byteLength);
});
