// Writes a GGUF file with a llama of random weights that is small and real enough for llama.cpp to load.
import { writeFileSync } from "node:fs";

const embedding = 32;
const feedForward = 64;
const heads = 2;
const tokens = [
  "<unk>",
  "<s>",
  "</s>",
  ...Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  ),
];
const kinds = [2, 3, 3, ...Array.from({ length: 256 }, () => 6)];

const parts = [];
const push = (size, write) => {
  const bytes = Buffer.alloc(size);
  write(bytes);
  parts.push(bytes);
};
const u32 = (value) => push(4, (bytes) => bytes.writeUInt32LE(value));
const u64 = (value) => push(8, (bytes) => bytes.writeBigUInt64LE(BigInt(value)));
const f32 = (value) => push(4, (bytes) => bytes.writeFloatLE(value));
const text = (value) => {
  u64(Buffer.byteLength(value));
  parts.push(Buffer.from(value));
};
const types = { u32: [4, u32], i32: [5, u32], f32: [6, f32], text: [8, text] };
const entry = (key, type, value) => {
  text(key);
  u32(types[type][0]);
  types[type][1](value);
};
const list = (key, type, values) => {
  text(key);
  u32(9);
  u32(types[type][0]);
  u64(values.length);
  for (const value of values) types[type][1](value);
};

const vocabulary = tokens.length;
const tensors = [
  ["token_embd.weight", [embedding, vocabulary]],
  ["output_norm.weight", [embedding]],
  ["output.weight", [embedding, vocabulary]],
  ["blk.0.attn_norm.weight", [embedding]],
  ...["q", "k", "v", "output"].map((name) => [`blk.0.attn_${name}.weight`, [embedding, embedding]]),
  ["blk.0.ffn_norm.weight", [embedding]],
  ["blk.0.ffn_gate.weight", [embedding, feedForward]],
  ["blk.0.ffn_up.weight", [embedding, feedForward]],
  ["blk.0.ffn_down.weight", [feedForward, embedding]],
];

parts.push(Buffer.from("GGUF"));
u32(3);
u64(tensors.length);
u64(17);
entry("general.architecture", "text", "llama");
entry("general.alignment", "u32", 32);
entry("llama.context_length", "u32", 64);
entry("llama.embedding_length", "u32", embedding);
entry("llama.block_count", "u32", 1);
entry("llama.feed_forward_length", "u32", feedForward);
entry("llama.attention.head_count", "u32", heads);
entry("llama.attention.head_count_kv", "u32", heads);
entry("llama.attention.layer_norm_rms_epsilon", "f32", 1e-5);
entry("llama.rope.dimension_count", "u32", embedding / heads);
entry("tokenizer.ggml.model", "text", "llama");
list("tokenizer.ggml.tokens", "text", tokens);
list(
  "tokenizer.ggml.scores",
  "f32",
  tokens.map(() => 0),
);
list("tokenizer.ggml.token_type", "i32", kinds);
entry("tokenizer.ggml.bos_token_id", "u32", 1);
entry("tokenizer.ggml.eos_token_id", "u32", 2);
entry("tokenizer.ggml.unknown_token_id", "u32", 0);
const aligned = (size) => Math.ceil(size / 32) * 32;
let offset = 0;
for (const [name, shape] of tensors) {
  text(name);
  u32(shape.length);
  for (const length of shape) u64(length);
  u32(0);
  u64(offset);
  offset += aligned(4 * shape.reduce((product, length) => product * length, 1));
}
const head = Buffer.concat(parts);
const data = Buffer.alloc(offset);
let seed = 1;
for (let at = 0; at < offset; at += 4) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  data.writeFloatLE(seed / 2 ** 32 - 0.5, at);
}
writeFileSync(
  process.argv[2],
  Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length), data]),
);
