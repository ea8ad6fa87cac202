import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { manifestTypeOf, membersOf } from "../../src/oci/manifest-members.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { bestForPlatform, formatPlatform } from "../../src/oci/platform.ts";
import { runs } from "../support/property-runs.ts";

const raw = (document: unknown, mediaType: string) => {
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return { mediaType, bytes, digest: digestOf(bytes) };
};

const content = fc.string({ maxLength: 4 });
const descriptor = fc
  .tuple(content, fc.constantFrom("a/b", "text/plain; charset=utf-8", "", "Not A Type"))
  .map(([text, mediaType]) => ({ mediaType, digest: digestOf(text), size: 7 }));

/** What Go's decoder takes for absent, in any of the optional members of a descriptor. */
const withNulls = <T extends object>(value: fc.Arbitrary<T>, ...names: string[]) =>
  fc.tuple(value, fc.subarray(names)).map(([object, absent]) => ({
    ...Object.fromEntries(absent.map((name) => [name, null])),
    ...object,
  }));

const loose = withNulls(descriptor, "annotations", "urls", "platform", "data", "artifactType", "x");

/** The same document with the names of its members in another case. */
const recased = (document: object, upper: boolean): object =>
  upper
    ? Object.fromEntries(
        Object.entries(document).map(([name, value]) => [name.toUpperCase(), value]),
      )
    : document;

test("a manifest names the same whatever is null, unknown or written in another case", () => {
  const members = { config: loose, layers: fc.array(loose, { maxLength: 4 }) };
  fc.assert(
    fc.property(
      withNulls(fc.record(members), "annotations", "subject", "artifactType", "mediaType", "y"),
      fc.boolean(),
      fc.constantFrom(mediaTypes.ociManifest, mediaTypes.dockerManifest, "application/vnd.x+json"),
      (document, upper, mediaType) => {
        const read = membersOf(raw(recased(document, upper), mediaType), "it");
        expect(read.config?.digest).toBe(document.config.digest);
        expect(read.layers.map(({ digest }) => digest)).toEqual(
          document.layers.map(({ digest }) => digest),
        );
        expect(read.manifests).toEqual([]);
      },
    ),
    runs,
  );
});

test("whatever a manifest is, it is read whole, or refused with the typed error", () => {
  const members = ["config", "layers", "blobs", "manifests", "fsLayers", "mediaType", "z"];
  const value = fc.oneof(
    loose,
    fc.array(loose, { maxLength: 3 }),
    fc.constant(null),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const document = fc.oneof(
    fc.dictionary(fc.constantFrom(...members), value),
    fc.jsonValue({ maxDepth: 3 }),
  );
  const types = [...Object.values(mediaTypes), "application/vnd.x+json", "application/json", ""];
  fc.assert(
    fc.property(document, fc.constantFrom(...types), (any, mediaType) => {
      const manifest = raw(any, mediaType);
      try {
        manifestTypeOf(manifest.bytes, mediaType, "it");
        const read = membersOf(manifest, "it");
        const named = [read.config, ...read.layers, ...read.manifests].length;
        // Nothing that looks like content is left behind.
        const lists = (any as Record<string, unknown> | null) ?? {};
        for (const name of ["layers", "manifests"]) {
          const list = lists[name];
          if (Array.isArray(list)) expect(named).toBeGreaterThanOrEqual(list.length);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(OcibundleError);
      }
    }),
    runs,
  );
});

test("a platform finds itself in every spelling, and never one of another architecture", () => {
  const spellings = [
    ["amd64", "AMD64", "x86_64", "x86-64"],
    ["arm64", "aarch64", "ARM64"],
    ["386", "i386"],
    ["riscv64"],
  ];
  const platform = fc.constantFrom(...spellings).chain((names) =>
    fc.record({
      os: fc.constantFrom("linux", "Linux", ""),
      architecture: fc.constantFrom(...names),
    }),
  );
  fc.assert(
    fc.property(platform, fc.array(platform, { maxLength: 6 }), (wanted, others) => {
      const chosen = bestForPlatform(
        others.map((other) => ({ platform: other })),
        wanted,
      );
      const same = others.find((other) => formatPlatform(other) === formatPlatform(wanted));
      expect(chosen?.platform).toEqual(same);
    }),
    runs,
  );
});
