import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { assert, asyncProperty, nat, uint8Array } from "fast-check";
import { OcibundleError } from "../../../../src/errors.ts";
import { decompress } from "../../../../src/image/conversion/decompress.ts";

const text = Buffer.from("hello world ".repeat(1000));
/** Does not compress: its blocks are raw. */
const noise = Buffer.from(
  Array.from({ length: 5000 }, (_, at) => (at * at * 31 + (at >> 3)) & 0xff),
);

const zstd = (bytes: Uint8Array, checksum = 0): Buffer =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: checksum } });
/** RFC 8878, 3.1.2: a frame that decompressors pass over. */
const skippable = Buffer.concat([
  Buffer.from([0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]),
  Buffer.from("meta"),
]);

/** What is in the data, or the failure. */
async function taken(compression: "gzip" | "zstd", chunks: readonly Uint8Array[]): Promise<string> {
  const parts: Uint8Array[] = [];
  async function* input() {
    yield* chunks;
  }
  try {
    await decompress(compression, input(), "it", async (content) => {
      for await (const chunk of content) parts.push(chunk);
    });
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    return `${error.code}: ${error.message}`;
  }
  return Buffer.concat(parts).toString("latin1");
}

/** The same bytes in chunks of one size. */
const inChunks = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );

const both = `${text.toString("latin1")}${noise.toString("latin1")}`;

const whole: Record<string, ["gzip" | "zstd", Buffer, string]> = {
  "gzip members": ["gzip", Buffer.concat([gzipSync(text), gzipSync(noise)]), both],
  "zstd frames": ["zstd", Buffer.concat([zstd(text), zstd(noise, 1)]), both],
  "zstd frames that are passed over": [
    "zstd",
    Buffer.concat([skippable, zstd(text, 1), skippable, zstd(noise), skippable]),
    both,
  ],
  "an empty zstd frame": ["zstd", zstd(Buffer.alloc(0)), ""],
  "a long run in a zstd frame": ["zstd", zstd(Buffer.alloc(300_000)), "\0".repeat(300_000)],
};

describe("compressed data", () => {
  for (const [what, [compression, bytes, content]] of Object.entries(whole)) {
    test(`of ${what} is read to its end, however it is chunked`, async () => {
      for (const size of [1, 7, 1000, bytes.length]) {
        expect(await taken(compression, inChunks(bytes, size))).toBe(content);
      }
    });
  }

  for (const [compression, bytes] of [
    ["gzip", gzipSync(text)],
    ["zstd", zstd(text)],
    ["zstd", zstd(text, 1)],
  ] as const) {
    test(`of ${compression} that is cut off anywhere is damaged (${bytes.length} bytes)`, async () => {
      for (let length = 1; length < bytes.length; length += 1) {
        for (const before of [Buffer.alloc(0), bytes]) {
          const cut = Buffer.concat([before, bytes.subarray(0, length)]);
          expect(await taken(compression, [cut])).toMatch(
            /^integrity: it: the \w+ data is damaged/,
          );
        }
      }
    });

    test(`of ${compression} with other data behind it is damaged (${bytes.length} bytes)`, async () => {
      for (const rubbish of ["rubbish", "\0", "\0".repeat(5000), "x".repeat(100_000)]) {
        const followed = Buffer.concat([bytes, Buffer.from(rubbish)]);
        for (const size of [bytes.length, 100, followed.length]) {
          expect(await taken(compression, inChunks(followed, size))).toMatch(/^integrity: it: /);
        }
      }
    });
  }

  test("of any bytes behind a zstd magic ends or is damaged, and nothing else", async () => {
    await assert(
      asyncProperty(uint8Array({ maxLength: 200 }), nat(40), async (bytes, size) => {
        const data = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), bytes]);
        await taken("zstd", inChunks(data, size + 1));
      }),
      { numRuns: 300 },
    );
  });
});
