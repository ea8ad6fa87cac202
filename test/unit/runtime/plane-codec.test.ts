import { expect, test } from "bun:test";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type PlaneWidth, planeSizes } from "../../../src/runtime/byte-planes.ts";
import { planeDecoder, planeEncoder } from "../../../src/runtime/plane-codec.ts";
import { planeBlockBytes } from "../../../src/runtime/plane-space.ts";
import { weights } from "../../support/model/parts-artifact.ts";

function encode(bytes: Uint8Array, width: PlaneWidth): Uint8Array {
  const frames: Uint8Array[] = [];
  const encoder = planeEncoder({ width, emit: (frame) => frames.push(frame.slice()) });
  encoder.take(bytes);
  encoder.end();
  encoder.close();
  return Buffer.concat(frames);
}

function decode(stored: Uint8Array, width: PlaneWidth, size: number): Buffer {
  const decoder = planeDecoder({ width, size });
  try {
    const blocks = Array.from(decoder.take(stored), (block) => block.slice());
    decoder.end();
    return Buffer.concat(blocks);
  } finally {
    decoder.close();
  }
}

const hex = (...bytes: string[]): Uint8Array =>
  Buffer.from(bytes.join("").replaceAll(" ", ""), "hex");

const frame = "28b52ffd a0";

test("few bytes are frames of planes as they are: these bytes and no others", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);
  const two = hex(frame, "04000000 210000 01030507", frame, "03000000 190000 020406");
  expect(encode(bytes, 2)).toEqual(two);
  expect([...decode(two, 2, 7)]).toEqual([...bytes]);
  const four = hex(
    frame,
    "02000000 110000 0105",
    frame,
    "02000000 110000 0206",
    frame,
    "02000000 110000 0307",
    frame,
    "01000000 090000 04",
  );
  expect(encode(bytes, 4)).toEqual(four);
  expect([...decode(four, 4, 7)]).toEqual([...bytes]);
  // A plane without bytes has no frame.
  expect(encode(Uint8Array.of(9), 4)).toEqual(hex(frame, "01000000 090000 09"));
  expect(encode(new Uint8Array(0), 2)).toEqual(new Uint8Array(0));
});

test("frames that any encoder of zstd makes are read", () => {
  const [low, high] = [Buffer.alloc(1000, 1), Buffer.alloc(999, 2)];
  const stored = Buffer.concat([zstdCompressSync(low), zstdCompressSync(high, { params: {} })]);
  const bytes = decode(stored, 2, 1999);
  expect(bytes.subarray(0, 4)).toEqual(Buffer.from([1, 2, 1, 2]));
  expect(bytes.length).toBe(1999);
});

test("a decoder of zstd reads the planes of a block, one after another", () => {
  const bytes = weights(300_001, 1);
  const planes = zstdDecompressSync(encode(bytes, 2));
  expect(planes.length).toBe(300_001);
  expect(planes.subarray(0, 150_001)).toEqual(Buffer.from(bytes.filter((_, at) => at % 2 === 0)));
});

test("what is alike in weights is stored in less, and noise in hardly more", () => {
  const bytes = weights(2 * planeBlockBytes, 1);
  expect(encode(bytes, 2).length).toBeLessThan(0.66 * bytes.length);
  const single = weights(planeBlockBytes, 2, 4);
  expect(encode(single, 4).length).toBeLessThan(0.85 * single.length);
  const noise = crypto.getRandomValues(new Uint8Array(65_536));
  expect(encode(noise, 4).length).toBe(noise.length + 4 * 12);
});

for (const width of [2, 4] as const) {
  for (const size of [1, 5, planeBlockBytes - 1, planeBlockBytes, planeBlockBytes + 1]) {
    test(`${size} bytes come back from ${width} planes`, () => {
      const bytes = weights(size, size, width);
      const stored = encode(bytes, width);
      expect(decode(stored, width, size).equals(bytes)).toBe(true);
      // In any chunking, and at any address.
      const decoder = planeDecoder({ width, size });
      const found: Uint8Array[] = [];
      const moved = new Uint8Array(stored.length + 1);
      moved.set(stored, 1);
      for (let at = 1; at < moved.length; at += 99_991) {
        for (const block of decoder.take(moved.subarray(at, at + 99_991)))
          found.push(block.slice());
      }
      decoder.end();
      decoder.close();
      expect(Buffer.concat(found).equals(bytes)).toBe(true);
      expect(planeSizes(size, width).reduce((sum, one) => sum + one, 0)).toBe(size);
    });
  }
}

const wrong: Record<string, Uint8Array> = {
  "cut off": encode(weights(100, 1), 2).subarray(0, -1),
  "a plane short": zstdCompressSync(new Uint8Array(50)),
  "a plane that is too long": Buffer.concat([
    zstdCompressSync(new Uint8Array(51)),
    zstdCompressSync(new Uint8Array(49)),
  ]),
  "a plane that expands": Buffer.concat([
    zstdCompressSync(new Uint8Array(50_000_000)),
    zstdCompressSync(new Uint8Array(50)),
  ]),
  "a frame with a window of 128 MiB": hex("28b52ffd 00 88 930100", "00".repeat(50)),
  "a frame of empty blocks": hex("28b52ffd 00 00", "000000".repeat(5000)),
  "a skippable frame": hex("502a4d18 02000000 0000"),
  "followed by a byte": Buffer.concat([encode(weights(100, 1), 2), Buffer.alloc(1)]),
  "followed by a frame": Buffer.concat([encode(weights(100, 1), 2), encode(weights(9, 1), 2)]),
};

for (const [name, stored] of Object.entries(wrong)) {
  test(`refused is what is ${name}`, () => {
    expect(() => decode(stored, 2, 100)).toThrow(expect.objectContaining({ code: "ZSTD_planes" }));
  });
}
