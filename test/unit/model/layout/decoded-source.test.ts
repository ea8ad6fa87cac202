import { expect, test } from "bun:test";
import { zstdCompressSync } from "node:zlib";
import { decodedSource } from "../../../../src/model/layout/decoded-source.ts";
import { digestOf } from "../../../../src/oci/digest.ts";

const original = Buffer.alloc(4 * 1024 * 1024, "some weights ");
const stored = zstdCompressSync(original);

const opened = (signal: AbortSignal) => {
  const source = decodedSource(
    { kind: "bytes", bytes: stored },
    { mediaType: "a/b", digest: digestOf(stored), size: stored.byteLength },
    { encoding: "zstd", size: original.byteLength },
  );
  if (source.kind !== "stream") throw new Error(`a source of kind ${source.kind}`);
  return source.open({ start: 0, end: original.byteLength }, signal);
};

test("a slow reader gets all of a stored form, and no listener is left for each wait", async () => {
  const warnings: string[] = [];
  const note = ({ name }: Error): unknown => warnings.push(name);
  process.on("warning", note);
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await opened(new AbortController().signal)) {
      chunks.push(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Buffer.concat(chunks).equals(original)).toBe(true);
    expect(warnings).toEqual([]);
  } finally {
    process.off("warning", note);
  }
});
