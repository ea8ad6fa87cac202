import { describe, expect, test } from "bun:test";
import {
  brotliCompressSync,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { readUpTo } from "../../../../src/http/message/body.ts";
import { decodeDocument, decodePrefix } from "../../../../src/http/message/content-coding.ts";
import { bottom, get, serve, serveBytes } from "../../../support/registry/scripted-server.ts";
import { errorOf } from "../../../support/failure.ts";

const text = JSON.stringify({ schemaVersion: 2, layers: Array.from({ length: 50 }, (_, i) => i) });
const bytes = new TextEncoder().encode(text);

const coded: readonly [string, Uint8Array][] = [
  ["gzip", gzipSync(bytes)],
  ["x-gzip", gzipSync(bytes)],
  ["GZIP", gzipSync(bytes)],
  ["deflate", deflateSync(bytes)],
  ["deflate", deflateRawSync(bytes)],
  ["br", brotliCompressSync(bytes)],
  ["zstd", zstdCompressSync(bytes)],
  ["gzip, zstd", zstdCompressSync(gzipSync(bytes))],
  ["identity, gzip", gzipSync(bytes)],
];

const headersOf = (coding: string): Headers => new Headers({ "content-encoding": coding });
const textOf = (decoded: Uint8Array): string => new TextDecoder().decode(decoded);

describe("a document", () => {
  test.each(coded)("that %s was applied to is decoded", (coding, body) => {
    const decoded = decodeDocument(body, headersOf(coding), 1e6);
    expect(textOf(decoded.bytes)).toBe(text);
    expect(decoded.cut).toBe(false);
  });

  test.each([...coded.map(([coding]) => coding), "compress", "rot13", "gzip, gzip, gzip, gzip"])(
    "that is only labelled with %s stays as it is",
    (coding) => {
      expect(decodeDocument(bytes, headersOf(coding), 1e6).bytes).toEqual(bytes);
    },
  );

  test.each([
    ["gzip", gzipSync(new Uint8Array(2e6))],
    ["deflate", deflateSync(new Uint8Array(2e6))],
    ["br", brotliCompressSync(new Uint8Array(2e6))],
    ["zstd", zstdCompressSync(new Uint8Array(2e6))],
  ])("that %s makes larger than its limit is cut", (coding, body) => {
    const decoded = decodeDocument(body, headersOf(coding), 1e6);
    expect(decoded.cut).toBe(true);
    expect(decoded.bytes.byteLength).toBeLessThanOrEqual(1e6);
  });

  test.each(["gzip", "br", "zstd", "deflate"])("is the same over the wire: %s", async (coding) => {
    const body = coded.find(([name]) => name === coding)?.[1] ?? bytes;
    for (const sent of [body, bytes]) {
      await using server = serve(
        () => new Response(new Uint8Array(sent), { headers: { "content-encoding": coding } }),
      );
      for (const large of [false, true]) {
        const response = await bottom()(get(server.origin, { large }));
        expect(textOf((await readUpTo(response, 1e6)).bytes)).toBe(text);
      }
    }
  });
});

test("the beginning of what a coding made is told from what it did not make", () => {
  const content = new TextEncoder().encode("weights ".repeat(1000));
  expect(textOf(decodePrefix(gzipSync(content).subarray(0, 40), "gzip") ?? bytes)).toStartWith("w");
  expect(decodePrefix(content, "gzip")).toBeUndefined();
  expect(decodePrefix(content, "zstd")).toBeUndefined();
  expect(decodePrefix(gzipSync(content), "br")).toBeUndefined();
});

describe("a small body that trickles", () => {
  const pace = { grace: 100, rate: 1000 };
  const trickles: Record<string, [string, string]> = {
    "in its bytes": ["Content-Length: 5000", "{"],
    "in a chunk's extension": ["Transfer-Encoding: chunked\r\n\r\n5;", "x"],
    "in chunks": ["Transfer-Encoding: chunked", "1\r\nx\r\n"],
  };
  for (const [what, [head, part]] of Object.entries(trickles)) {
    for (const large of [false, true]) {
      test(`${what} is given up, ${large ? "over connections of our own" : "over fetch"}`, async () => {
        let timer: ReturnType<typeof setInterval> | undefined;
        await using server = serveBytes((socket) => {
          socket.write(`HTTP/1.1 200 OK\r\n${head}${head.includes(";") ? "" : "\r\n\r\n"}`);
          timer = setInterval(() => socket.write(part), 20);
        });
        try {
          const response = await bottom()(get(server.origin, { large }));
          const failure = await errorOf(readUpTo(response, 10_000, pace));
          expect(failure).toMatchObject({ code: "network" });
          expect(failure.message).toMatch(/the response is too slow: \d+ bytes in \d+ s/);
        } finally {
          clearInterval(timer);
        }
      });
    }
  }
});

const sizeRead = async (origin: string): Promise<number> => {
  const response = await bottom({ idleTimeout: 200 })(get(origin, { large: true }));
  return (await new Response(response.body).arrayBuffer()).byteLength;
};

test("a large body that trickles is given up, and one that is slow is not", async () => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const serveParts = (part: string) =>
    serveBytes((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
      timer = setInterval(() => socket.write(part), 20);
    });
  try {
    await using trickling = serveParts("x");
    const failure = await errorOf(sizeRead(trickling.origin));
    expect(failure.message).toMatch(/the response stalled: \d+ bytes in \d+ s/);
    clearInterval(timer);
    await using slow = serveParts("x".repeat(50));
    expect(await sizeRead(slow.origin)).toBe(5000);
  } finally {
    clearInterval(timer);
  }
});
