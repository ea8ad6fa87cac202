import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Sized } from "./model-shapes.ts";

const pieceBytes = 1024 * 1024;

export interface TensorFileOptions {
  /** Names of tensors that have other bytes than without this. */
  changed?: readonly string[];
  /** What the other bytes are made from; two versions share none of them. */
  version?: string;
  /** Metadata in the header. */
  metadata?: Readonly<Record<string, string>>;
  /** Numbers in bf16, whose exponents are much alike as those of weights are, in place of noise. */
  bf16?: boolean;
}

/** Writes a safetensors file whose tensors are noise; the same arguments give the same bytes. */
export function writeTensors(
  path: string,
  tensors: readonly Sized[],
  { changed = [], version = "changed", metadata = {}, bf16 = false }: TensorFileOptions = {},
): void {
  let front = 0;
  const entries = tensors.map(([name, bytes]) => {
    const data_offsets = [front, (front += bytes)];
    return [name, { dtype: "U8", shape: [bytes], data_offsets }];
  });
  const header = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, "w");
  try {
    writeSync(file, length);
    writeSync(file, padded);
    const isChanged = new Set(changed);
    for (const [name, bytes] of tensors) {
      const next = noise(isChanged.has(name) ? `${name}, ${version}` : name, bf16);
      for (let left = bytes; left > 0; left -= pieceBytes) {
        writeSync(file, next(Math.min(left, pieceBytes)));
      }
    }
  } finally {
    closeSync(file);
  }
}

/** A stream of noise that a text begins: xorshift, as fast as the memory. */
function noise(text: string, bf16: boolean): (bytes: number) => Uint8Array {
  const words = new Uint32Array(pieceBytes / 4);
  let state = createHash("sha256").update(text).digest().readUInt32LE(0) | 1;
  return (bytes) => {
    for (let index = 0; index < Math.ceil(bytes / 4); index += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      // Sign, two bits of the exponent, mantissa.
      words[index] = bf16 ? (state & 0x81ff81ff) | 0x3c003c00 : state;
    }
    return new Uint8Array(words.buffer, 0, bytes);
  };
}

const mebibyte = 1024 * 1024;

/** A model small enough for every run that is split all the same: 67 MiB in 24 layers of five tensors. */
export const smallModel = (): Sized[] =>
  [
    ["embed.weight", 3 * mebibyte] as const,
    ...Array.from({ length: 24 }, (_, layer): Sized[] => [
      [`layers.${layer}.norm.weight`, 2048],
      [`layers.${layer}.attn.q.weight`, mebibyte],
      [`layers.${layer}.attn.k.weight`, 100 * 1024],
      [`layers.${layer}.attn.v.weight`, 100 * 1024],
      [`layers.${layer}.mlp.weight`, 1.5 * mebibyte],
    ]).flat(),
    ["norm.weight", 2048] as const,
  ].toSorted(([a], [b]) => (a < b ? -1 : 1));
