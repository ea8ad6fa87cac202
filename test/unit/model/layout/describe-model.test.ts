import { expect, test } from "bun:test";
import { describeModel } from "../../../../src/model/layout/describe-model.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { text, u32, u64 } from "../../../support/tensors/little-endian.ts";

/** The header of a GGUF file with texts, a file type and one tensor. */
function gguf(texts: Record<string, string>, fileType: number, shape: number[]): Buffer {
  const values = Object.entries(texts).map(([key, value]) =>
    Buffer.concat([text(key), u32(8), text(value)]),
  );
  const tokens = [text("tokenizer.ggml.tokens"), u32(9), u32(8), u64(2), text("a"), text("b")];
  return Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(1),
    u64(values.length + 2),
    ...values,
    ...tokens,
    text("general.file_type"),
    u32(4),
    u32(fileType),
    text("w"),
    u32(shape.length),
    ...shape.map(u64),
    u32(12),
    u64(0),
    Buffer.alloc(4096),
  ]);
}

function safetensors(header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  return Buffer.concat([u64(json.byteLength), json, Buffer.alloc(64)]);
}

const describeFiles = (files: Record<string, string | Buffer>) =>
  describeModel(
    Object.entries(files).map(([path, content]) => {
      const bytes = new Uint8Array(Buffer.from(content));
      return {
        name: path,
        path,
        dest: `/${path}`,
        digest: digestOf(bytes) as `sha256:${string}`,
        size: bytes.byteLength,
        source: () => Promise.resolve({ kind: "bytes" as const, bytes }),
      };
    }),
    new AbortController().signal,
  );

test("a GGUF file says name, license, architecture, quantization and how many parameters", async () => {
  const texts = {
    "general.architecture": "llama",
    "general.name": "Tiny Llama",
    "general.license": "apache-2.0",
  };
  expect(
    await describeFiles({
      "mmproj.gguf": gguf({ "general.name": "projector" }, 1, [1]),
      "tiny.gguf": gguf(texts, 15, [4096, 1000]),
    }),
  ).toEqual({
    format: "gguf",
    name: "Tiny Llama",
    licenses: ["apache-2.0"],
    family: "llama",
    architecture: "llama",
    quantization: "Q4_K_M",
    paramSize: "4.1m",
  });
});

test("safetensors say the precision of most values, the model card its license", async () => {
  expect(
    await describeFiles({
      "README.md": "---\r\nlanguage: en\r\nlicense: mit\r\n---\r\n# Tiny\r\nlicense: other\r\n",
      "model.safetensors": safetensors({
        __metadata__: { format: "pt" },
        a: { dtype: "BF16", shape: [2000, 1000], data_offsets: [0, 1] },
        b: { dtype: "F32", shape: [1000], data_offsets: [1, 2] },
      }),
    }),
  ).toEqual({ format: "safetensors", licenses: ["mit"], precision: "bf16", paramSize: "2m" });
});

test.each([
  ["no GGUF", "x.gguf", "GGUX"],
  ["a GGUF that is cut off", "x.gguf", gguf({}, 0, [1]).subarray(0, 60)],
  ["a card without a front", "README.md", "license: mit\n"],
  ["a license that is a list", "README.md", "---\nlicense: [mit, other]\n---\n"],
])("%s says nothing", async (_, path, content) => {
  const { format, ...said } = await describeFiles({ [path]: content });
  expect(said).toEqual({});
  expect(format ?? "gguf").toBe("gguf");
});

test("what a header can't mean is left out", async () => {
  const huge = [2 ** 50, 2 ** 50, 2 ** 50];
  expect(
    await describeFiles({
      "x.gguf": gguf(
        { "general.name": "a\u001b[31m", "general.license": "x".repeat(300) },
        99,
        huge,
      ),
    }),
  ).toEqual({ format: "gguf" });
});

test("a precision that is the name of something else is said as it is, or not at all", async () => {
  const config = JSON.stringify({ model_type: "llama", torch_dtype: "constructor" });
  const tensor = { dtype: "constructor", shape: [4], data_offsets: [0, 64] };
  expect(await describeFiles({ "config.json": config })).toMatchObject({
    precision: "constructor",
  });
  const said = await describeFiles({ "a.safetensors": safetensors({ w: tensor }) });
  expect(said.precision).toBeUndefined();
});
