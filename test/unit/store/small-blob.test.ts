import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContentReader } from "../../../src/oci/content.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { readSmallBlob } from "../../../src/store/small-blob.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

test("a document of several chunks is read from a file as it is", async () => {
  const bytes = Buffer.alloc(5 * 1024 * 1024 + 7);
  for (let at = 0; at + 4 <= bytes.length; at += 1024) bytes.writeUInt32LE(at, at);
  const path = join(await temporaryDirectory(), "blob");
  await writeFile(path, bytes);
  const reader: Pick<ContentReader, "name" | "blobSource"> = {
    name: "oci:./layout",
    blobSource: () => Promise.resolve({ kind: "file", path, offset: 0 }),
  };
  const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: bytes.byteLength };
  const { signal } = new AbortController();
  const read = await readSmallBlob(reader as ContentReader, descriptor, signal);
  expect(digestOf(read)).toBe(descriptor.digest);
});
