import { expect, test } from "bun:test";
import { maxGraphBytes } from "../../../../src/model/graph/content-graph.ts";
import { readAllContents } from "../../../../src/model/graph/weights-contents.ts";
import type { ContentReader } from "../../../../src/oci/content.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";

const { signal } = new AbortController();

/** An index of weights artifacts, each of `size` bytes by its entry. */
function indexOf(count: number, size: number) {
  const manifests = Array.from({ length: count }, (_, at) => ({
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(new TextEncoder().encode(String(at))),
    size,
    annotations: { "run.cog.weight.name": `w${at}` },
  }));
  const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), bytes };
}

test("weights manifests that are too large together are refused before one is read", async () => {
  let reads = 0;
  const reader = {
    name: "registry/acme",
    readManifest: () => Promise.reject(new RangeError(`read ${(reads += 1)}`)),
  } as unknown as ContentReader;
  const each = 4 * 1024 * 1024;
  const enough = maxGraphBytes / each;
  await expect(readAllContents(reader, indexOf(enough + 1, each), signal)).rejects.toMatchObject({
    code: "file",
    message: `registry/acme: more than ${maxGraphBytes} bytes of weights manifests`,
  });
  expect(reads).toBe(0);
  await expect(readAllContents(reader, indexOf(enough, each), signal)).rejects.toThrow("read 1");
});
