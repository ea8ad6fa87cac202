import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { parseDockerManifest } from "../../src/image/conversion/docker-manifest.ts";
import { formatSource, parseImageSource } from "../../src/image/source/source.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { ImageIndex, RawManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { tarEntries } from "../../src/store/archive/entries.ts";
import { entryPath, linkTarget } from "../../src/store/archive/path.ts";
import { paxOverrides } from "../../src/store/archive/pax.ts";
import { streamTarSource } from "../../src/store/archive/source.ts";
import { findEntry, withManifest } from "../../src/store/layout/documents.ts";
import { paxRecord, tarBytes } from "../support/store/tar-bytes.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

const anyText = fc.string({ unit: "binary", maxLength: 40 });

/** The result, or undefined when it failed with the one typed error. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof OcibundleError) return undefined;
    throw error;
  }
}

const sourceLike = fc
  .array(
    fc.constantFrom(
      "oci",
      "oci-archive",
      "docker-daemon",
      "docker-archive",
      "docker",
      "dir",
      ":",
      "/",
      "//",
      "acme",
      "app",
      "v1",
      "@",
      "localhost:5000",
      `sha256:${"0".repeat(64)}`,
      ".",
      "C:\\x",
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

describe("a source", () => {
  test("of any text is read, or refused with the typed error; written out, it is read the same", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, sourceLike), (text) => {
        const spec = attempt(() => parseImageSource(text));
        if (spec === undefined) return;
        expect(parseImageSource(formatSource(spec))).toEqual(spec);
      }),
      runs,
    );
  });
});

describe("an archive", () => {
  const name = fc
    .array(fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.map((part) => (/^\.+$/.test(part) ? `x${part}` : part)).join("/"));
  const content = fc.uint8Array({ maxLength: 1500 });

  test("of any entries, arriving in any chunks, is read as it was written", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.record({ name, content }), {
          selector: (entry) => entry.name,
          maxLength: 5,
        }),
        fc.integer({ min: 1, max: 2000 }),
        async (entries, chunkSize) => {
          const bytes = tarBytes(...entries);
          async function* arriving() {
            for (let at = 0; at < bytes.byteLength; at += chunkSize) {
              yield bytes.subarray(at, at + chunkSize);
            }
          }
          const source = streamTarSource(arriving());
          const seen: unknown[] = [];
          for await (const entry of tarEntries(source, "it")) {
            seen.push({
              name: entry.name,
              content: Uint8Array.from(bytes.subarray(entry.offset, entry.offset + entry.size)),
            });
          }
          expect(seen).toEqual(entries);
        },
      ),
      fewerRuns(0.25),
    );
  });

  test("with any bytes changed is read, or refused with the typed error", async () => {
    const bytes = tarBytes({ name: "a", content: "x".repeat(600) }, { name: "b", content: "y" });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.byteLength - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(bytes.byteLength),
        async (changes, length) => {
          const changed = Uint8Array.from(bytes);
          for (const [at, byte] of changes) changed[at] = byte;
          const stream = new Blob([changed.subarray(0, length)]).stream();
          try {
            for await (const entry of tarEntries(streamTarSource(stream), "it")) {
              expect(entry.name).not.toContain("..");
              expect(entry.size).toBeGreaterThanOrEqual(0);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(OcibundleError);
          }
        },
      ),
      runs,
    );
  });

  test("has no entry and no link target outside of it", () => {
    const part = fc.constantFrom("..", ".", "", "a", "b", "etc", "\0", "\\");
    const path = fc.array(part, { maxLength: 6 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(path, path, fc.constantFrom("link", "symlink"), (from, target, type) => {
        const link = attempt(() => entryPath(from, "it"));
        if (link === undefined) return;
        const reached = attempt(() => linkTarget({ type, name: link, target }, "it"));
        for (const inside of [link, reached ?? ""]) {
          expect(inside.startsWith("/")).toBe(false);
          expect(inside.split("/")).not.toContain("..");
        }
      }),
      runs,
    );
  });

  test("has pax records that are read as they were written", () => {
    const value = fc.string({ unit: "grapheme", maxLength: 30 });
    const record = fc.record({ path: value, linkpath: value, size: fc.nat() });
    fc.assert(
      fc.property(record, fc.string({ maxLength: 20 }), ({ path, linkpath, size }, comment) => {
        const text = [
          paxRecord("comment", comment),
          paxRecord("path", path),
          paxRecord("linkpath", linkpath),
          paxRecord("size", String(size)),
        ].join("");
        expect(paxOverrides(Buffer.from(text), "it")).toEqual({ path, linkpath, size });
      }),
      runs,
    );
  });

  test("has pax records of any bytes, or refuses them with the typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        attempt(() => paxOverrides(bytes, "it"));
      }),
      runs,
    );
  });
});

test("manifest.json of any JSON is read, or refused with the typed error", () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      attempt(() => parseDockerManifest(Buffer.from(json), "it"));
    }),
    runs,
  );
});

describe("the index of a layout", () => {
  const manifests = Array.from({ length: 4 }, (_, at): RawManifest => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [], at }));
    return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  });
  const write = fc.record({
    manifest: fc.constantFrom(...manifests),
    tag: fc.option(fc.constantFrom("a", "b", "c"), { nil: undefined }),
  });

  test("has each tag once, for what was written under it last, and lists what was written last", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
        let index: ImageIndex = { schemaVersion: 2, manifests: [] };
        const tags = new Map<string, RawManifest>();
        const untagged = new Set<RawManifest>();
        for (const { manifest, tag } of writes) {
          index = withManifest(index, manifest, tag);
          if (tag !== undefined) tags.set(tag, manifest);
          else untagged.add(manifest);
          const again = withManifest(index, manifest, tag);
          expect(again.manifests).toEqual(index.manifests);
        }
        for (const [tag, { digest }] of tags) {
          expect(findEntry(index, tag, "it").digest).toBe(digest);
        }
        const listed = index.manifests.map(({ digest }) => digest);
        const last = writes.at(-1)?.manifest.digest;
        if (last !== undefined) expect(listed).toContain(last);
        expect(listed.length).toBeLessThanOrEqual(tags.size + untagged.size);
      }),
      runs,
    );
  });
});
