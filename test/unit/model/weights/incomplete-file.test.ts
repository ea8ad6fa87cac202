import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, asyncProperty, constantFrom, uint8Array } from "fast-check";
import { incompleteBecause } from "../../../../src/model/weights/incomplete-file.ts";
import { text, u32, u64 } from "../../../support/tensors/little-endian.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-incomplete-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const judge = (name: string, bytes: Uint8Array | string): Promise<string | undefined> => {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return incompleteBecause(path, Buffer.byteLength(bytes));
};

/** A safetensors file with one tensor of so many bytes. */
function safetensors(bytes: number): Buffer {
  const tensor = { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] };
  const header = JSON.stringify({ __metadata__: { format: "pt" }, weight: tensor });
  return Buffer.concat([u64(header.length), Buffer.from(header), Buffer.alloc(bytes)]);
}

/** A GGUF file with metadata of several kinds and two tensors: 64 values of F32 and 64 of Q4_0. */
function gguf(): Buffer {
  const tokens = Buffer.concat(["a", "bc", "def"].map((token) => text(token)));
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(2),
    u64(3),
    text("general.architecture"),
    u32(8),
    text("llama"),
    text("tokenizer.ggml.tokens"),
    u32(9),
    u32(8),
    u64(3),
    tokens,
    text("tokenizer.ggml.scores"),
    u32(9),
    u32(6),
    u64(3),
    Buffer.alloc(12),
    text("a.weight"),
    u32(2),
    u64(8),
    u64(8),
    u32(0),
    u64(0),
    text("b.weight"),
    u32(1),
    u64(64),
    u32(2),
    u64(256),
  ]);
  const start = Math.ceil(header.length / 32) * 32;
  return Buffer.concat([header, Buffer.alloc(start - header.length), Buffer.alloc(256 + 36)]);
}

const bigU64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};

/** A GGUF file with one tensor of F32, whose bytes begin at a multiple of 32. */
const oneTensor = (shape: readonly bigint[], offset: bigint): Buffer => {
  const front = [Buffer.from("GGUF"), u32(3), u64(1), u64(0), text("a"), u32(shape.length)];
  const header = Buffer.concat([...front, ...shape.map(bigU64), u32(0), bigU64(offset)]);
  return Buffer.concat([header, Buffer.alloc(128 - header.length)]);
};

const pointer =
  "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

describe("is said of", () => {
  test.each(["model.safetensors", "model.bin", "tokenizer.json"])(
    "a Git LFS pointer in the place of %s",
    async (name) => {
      expect(await judge(name, pointer)).toBe("is a Git LFS pointer, not the file itself");
    },
  );

  test("a safetensors file that is cut anywhere behind the first bytes", async () => {
    const whole = safetensors(1000);
    const path = join(directory, "m.safetensors");
    for (let size = whole.length - 1; size > 8; size -= 37) {
      writeFileSync(path, whole.subarray(0, size));
      expect(await incompleteBecause(path, size)).toMatch(/^is truncated: /);
    }
  });

  test("a safetensors file with more bytes than its header says", async () => {
    const bytes = Buffer.concat([safetensors(10), Buffer.alloc(5)]);
    expect(await judge("m.safetensors", bytes)).toBe(
      `has ${bytes.length} bytes, its header says ${bytes.length - 5}`,
    );
  });

  test("a GGUF file that is cut anywhere behind its version", async () => {
    const whole = gguf();
    const path = join(directory, "m.gguf");
    for (let size = whole.length - 1; size >= 8; size -= 11) {
      writeFileSync(path, whole.subarray(0, size));
      expect(await incompleteBecause(path, size)).toMatch(/^is truncated: /);
    }
  });
});

describe("numbers that can't be counted are shown as the file has them", () => {
  test.each([
    ["[0,9223372036854775808]", "9223372036854775808"],
    ["[0,9007199254740993]", "9007199254740993"],
    ["[0,18446744073709551615]", "18446744073709551615"],
    ["[0,1e300]", "1e300"],
    ["[0,16.5]", "16.5"],
    [`[0,1${"0".repeat(300_000)}]`, `1${"0".repeat(39)}…`],
    [`[0,9${"0".repeat(308)}]`, `9${"0".repeat(39)}…`],
  ])("the end of a tensor: %s", async (offsets, written) => {
    const header = `{"a":{"dtype":"U8","shape":[9223372036854775809],"data_offsets":${offsets}}}`;
    const file = Buffer.concat([u64(header.length), Buffer.from(header), Buffer.alloc(16)]);
    expect(await judge("m.safetensors", file)).toBe(
      `has ${file.length} bytes, its header says that its tensors have ${written}`,
    );
  });

  test("of several tensors, the largest end", async () => {
    const ends = ["9223372036854775807", "9223372036854775809", "9223372036854775808", "16"];
    const header = `{${ends.map((end) => `"t${end}":{"data_offsets":[0,${end}]}`).join()}}`;
    const file = Buffer.concat([u64(header.length), Buffer.from(header)]);
    expect(await judge("m.safetensors", file)).toContain("tensors have 9223372036854775809");
  });

  test.each([
    [[4n], 2n ** 63n, 2n ** 63n + 16n],
    [[2n ** 63n], 0n, 2n ** 65n],
    [[2n ** 40n, 2n ** 40n + 1n], 1n, 1n + 4n * 2n ** 40n * (2n ** 40n + 1n)],
    [[2n ** 51n], 2n ** 53n - 1n, 2n ** 54n - 1n],
  ])("a GGUF tensor of shape %p at %p", async (shape, offset, end) => {
    const file = oneTensor(shape, offset);
    const start = shape.length > 1 ? 96n : 64n;
    expect(await judge("m.gguf", file)).toBe(
      `is truncated: it has ${file.length} of ${start + end} bytes`,
    );
  });

  test("more tensors, values or text than any file has are more than the file has", async () => {
    const long = Buffer.alloc(8, 0xff);
    for (const counts of [
      [long, u64(0)],
      [u64(1), long],
      [u64(1), u64(1), long],
    ]) {
      const file = Buffer.concat([Buffer.from("GGUF"), u32(3), ...counts, Buffer.alloc(64)]);
      expect(await judge("m.gguf", file)).toBe(
        `is truncated: its header is longer than the ${file.length} bytes of the file`,
      );
    }
  });
});

describe("is not said of", () => {
  test.each([
    ["a whole safetensors file", "m.safetensors", safetensors(1000)],
    ["one without tensors", "m.safetensors", safetensors(0)],
    ["a whole GGUF file", "m.gguf", gguf()],
    ["one with padding behind it", "m.gguf", Buffer.concat([gguf(), Buffer.alloc(28)])],
    ["an empty file", "m.safetensors", ""],
    ["other bytes under such a name", "m.safetensors", "x".repeat(5000)],
    ["zeros under such a name", "m.gguf", Buffer.alloc(5000)],
    ["a GGUF file of the other byte order", "m.gguf", Buffer.from("GGUF\0\0\0\u0003")],
    ["a text that mentions Git LFS", "README.md", `see ${pointer}`],
  ])("%s", async (_what, name, bytes) => {
    expect(await judge(name, bytes)).toBeUndefined();
  });

  test("a safetensors file whose header is too large to be taken apart", async () => {
    const header = `{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}${" ".repeat(17 * 1024 * 1024)}}`;
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    expect(
      await judge("m.safetensors", Buffer.concat([length, Buffer.from(header)])),
    ).toBeUndefined();
  });

  test("a sparse safetensors file of more than 4 GiB", async () => {
    const size = 2 ** 32 + 1000;
    const header = JSON.stringify({ w: { dtype: "U8", shape: [size], data_offsets: [0, size] } });
    const path = join(directory, "m.safetensors");
    writeFileSync(path, Buffer.concat([u64(header.length), Buffer.from(header)]));
    truncateSync(path, 8 + header.length + size);
    expect(await incompleteBecause(path, 8 + header.length + size)).toBeUndefined();
    expect(await incompleteBecause(path, 8 + header.length + size - 1)).toContain("truncated");
  });
});

test("whatever a file holds, the answer is a text or none", async () => {
  const start = constantFrom(Buffer.from("GGUF\u0003\0\0\0"), gguf().subarray(0, 60), u64(20));
  await assert(
    asyncProperty(
      constantFrom("m.gguf", "m.safetensors"),
      start,
      uint8Array({ maxLength: 300 }),
      async (name, head, tail) => {
        const fault = await judge(name, Buffer.concat([head, tail]));
        expect(
          fault === undefined || fault.startsWith("is ") || fault.startsWith("has "),
        ).toBeTrue();
      },
    ),
    { numRuns: 300 },
  );
});
