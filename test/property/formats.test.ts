import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { annotated, parseAnnotations } from "../../src/model/format/chosen-annotations.ts";
import { chooseImageFormat } from "../../src/model/format/image-format.ts";
import { entryType, findWeights, modelIndex } from "../../src/model/format/model-index.ts";
import { parseProjectFile } from "../../src/model/format/project-file.ts";
import { checkDest } from "../../src/model/format/weight-dest.ts";
import { layerTypes, sortedByName, type WeightEntry } from "../../src/model/format/weight-entry.ts";
import { giveNames } from "../../src/model/format/weight-names.ts";
import { parseWeightsManifest, weightsManifest } from "../../src/model/format/weights-artifact.ts";
import { parseWeightsLock, serializeWeightsLock } from "../../src/model/format/weights-lock.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseDocument } from "../../src/oci/document.ts";
import { ImageIndexSchema, ImageManifestSchema } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { runs } from "../support/property-runs.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const digests = fc
  .array(fc.constantFrom(..."0123456789abcdef".split("")), { minLength: 64, maxLength: 64 })
  .map((digits) => `sha256:${digits.join("")}` as const);

const names = fc
  .oneof(fc.string({ unit: "grapheme", minLength: 1 }), fc.string({ unit: "binary", minLength: 1 }))
  .filter((name) => name.isWellFormed());

const components = fc
  .string({ unit: "grapheme", minLength: 1 })
  .filter((text) => checkDest(`/${text}`) === undefined && !text.includes("/"));

/** Entries that nothing is wrong with: dests of one depth are never nested. */
const entries: fc.Arbitrary<WeightEntry[]> = fc
  .uniqueArray(
    fc.record({
      name: names,
      dest: fc.tuple(components, components).map((parts) => `/${parts.join("/")}`),
      digestOriginal: digests,
      digest: digests,
      size: fc.maxSafeNat(),
      sizeUncompressed: fc.maxSafeNat(),
      mediaType: fc.constantFrom(...Object.values(layerTypes)),
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  )
  .map((list) => list.filter(({ dest }, at) => list.findIndex((e) => e.dest === dest) === at));

const unknownMembers = fc.dictionary(
  fc.oneof(
    fc.string().filter((key) => !["version", "created", "files"].includes(key)),
    fc.constantFrom("constructor", "prototype", "__proto__"),
  ),
  fc.jsonValue({ maxDepth: 3 }),
  { maxKeys: 3 },
);

describe("weights.lock", () => {
  test("what was written reads back the same, and is written the same again", () => {
    fc.assert(
      fc.property(entries, unknownMembers, (files, unknown) => {
        const lock = { version: "1" as const, created: "2026-02-02T10:00:00Z", files, ...unknown };
        const bytes = serializeWeightsLock(lock);
        const read = parseWeightsLock(bytes, "weights.lock");
        expect(read).toEqual(JSON.parse(JSON.stringify({ ...lock, files: sortedByName(files) })));
        expect(serializeWeightsLock(read)).toEqual(bytes);
      }),
      runs,
    );
  });

  test("any bytes are a lock or a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        typedOnly(() => parseWeightsLock(bytes, "weights.lock"));
      }),
      runs,
    );
  });

  test("any JSON that looks like a lock is one or a typed error", () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      digests,
      fc.constantFrom("", "/a", "/a/../b", "sha256:", -1, 2 ** 60, layerTypes.gzip, "__proto__"),
    );
    const entryLike = fc.oneof(
      anything,
      fc.record(
        {
          name: anything,
          dest: anything,
          digestOriginal: anything,
          digest: anything,
          size: anything,
          sizeUncompressed: anything,
          mediaType: anything,
          contentType: anything,
        },
        { requiredKeys: [] },
      ),
    );
    const lockLike = fc.record(
      {
        version: fc.oneof(fc.constant("1"), anything),
        created: fc.oneof(fc.constant("2026-02-02T10:00:00Z"), anything),
        files: fc.oneof(fc.array(entryLike), anything),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(lockLike, (value) => {
        typedOnly(() => parseWeightsLock(encode(JSON.stringify(value)), "weights.lock"));
      }),
      runs,
    );
  });

  test("a broken byte of a good lock is noticed, or does no harm", () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.nat(255), (files, position, value) => {
        const bytes = serializeWeightsLock({
          version: "1",
          created: "2026-02-02T10:00:00Z",
          files,
        });
        bytes[position % bytes.length] = value;
        typedOnly(() => serializeWeightsLock(parseWeightsLock(bytes, "weights.lock")));
      }),
      runs,
    );
  });
});

describe("weights artifact", () => {
  test("what was written reads back the same, whatever the order was", () => {
    fc.assert(
      fc.property(entries, (files) => {
        const manifest = weightsManifest(files);
        expect(parseWeightsManifest(manifest)).toEqual(sortedByName(files));
        expect(weightsManifest(files.toReversed()).digest).toBe(manifest.digest);
        expect(manifest.digest).toBe(digestOf(manifest.bytes));
      }),
      runs,
    );
  });

  test("any JSON is a manifest or a typed error", () => {
    const annotationLike = fc.dictionary(
      fc.constantFrom(
        "vnd.cog.weights.name",
        "vnd.cog.weights.dest",
        "vnd.cog.weights.digest.original",
        "vnd.cog.weights.size.uncompressed",
        "__proto__",
      ),
      fc.oneof(fc.string(), digests, fc.constantFrom("/a", "/a/b", "10", "-1", "01")),
    );
    const layerLike = fc.record(
      {
        mediaType: fc.oneof(fc.constantFrom(...Object.values(layerTypes)), fc.string()),
        digest: fc.oneof(digests, fc.string()),
        size: fc.oneof(fc.nat(), fc.jsonValue()),
        annotations: fc.oneof(annotationLike, fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const config = { mediaType: mediaTypes.ociEmpty, digest: digestOf("{}"), size: 2 };
    const manifestLike = fc.oneof(
      fc.jsonValue(),
      fc.array(layerLike).map((layers) => ({ schemaVersion: 2, config, layers })),
    );
    fc.assert(
      fc.property(manifestLike, (value) => {
        const bytes = encode(JSON.stringify(value));
        const raw = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
        typedOnly(() => parseWeightsManifest(raw));
      }),
      runs,
    );
  });
});

describe("model index", () => {
  const platforms = fc.record({
    os: fc.constantFrom("linux", "windows"),
    architecture: fc.constantFrom("amd64", "arm64"),
  });
  const descriptors = fc.record({
    mediaType: fc.constantFrom(mediaTypes.ociManifest, mediaTypes.dockerManifest),
    digest: digests,
    size: fc.maxSafeNat(),
  });

  test("what was written reads back the same", () => {
    const images = fc.array(
      fc.tuple(descriptors, platforms).map(([one, platform]) => ({ ...one, platform })),
      { maxLength: 3 },
    );
    const kept = fc.array(
      descriptors.map((one) => ({
        ...one,
        platform: { os: "unknown", architecture: "unknown" },
        annotations: { "vnd.docker.reference.type": "attestation-manifest", "a<b>&c": "\u2028" },
      })),
      { maxLength: 2 },
    );
    fc.assert(
      fc.property(images, kept, entries, (ofImages, others, files) => {
        const weights = weightsManifest(files);
        const raw = modelIndex({ images: ofImages, kept: others, weights: [weights] });
        const index = parseDocument(raw.bytes, ImageIndexSchema, "index");
        expect(index.manifests.slice(0, -1)).toEqual([...ofImages, ...others]);
        expect(index.manifests.map(entryType)).toEqual([
          ...ofImages.map(() => "image" as const),
          ...others.map(() => "other" as const),
          "weights",
        ]);
        const found = findWeights(index);
        expect(found).toMatchObject({ digest: weights.digest, size: weights.bytes.byteLength });
        expect(found?.annotations?.["vnd.cog.reference.digest"]).toBe(
          ofImages.length === 1 ? ofImages[0]?.digest : undefined,
        );
      }),
      runs,
    );
  });
});

describe("project file", () => {
  test("any text is a project file or a typed error", () => {
    const lines = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            "image: a/b",
            "weights:",
            "  - source: ./w",
            "    target: /src/w",
            "    name: x",
            "  - source: {uri: file://./w}",
            "weights: [",
            "a: &a [*a]",
            "<<: *a",
            "? x",
            "--- !!binary",
            "weights: {__proto__: 1}",
          ),
          fc.string({ unit: "binary" }),
        ),
      )
      .map((parts) => parts.join("\n"));
    fc.assert(
      fc.property(lines, (text) => typedOnly(() => parseProjectFile(encode(text), "cog.yaml"))),
      runs,
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => typedOnly(() => parseProjectFile(bytes, "cog.yaml"))),
      runs,
    );
  });

  test("any JSON, which is YAML too, is a project file or a typed error", () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom("file://a", "/a/b", "hf://x", "file://%"),
    );
    const weightLike = fc.record(
      { name: value, source: fc.oneof(value, fc.record({ uri: value })), target: value },
      { requiredKeys: [] },
    );
    const projectLike = fc.record(
      { image: value, weights: fc.oneof(fc.array(weightLike), value) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(projectLike, (project) => {
        typedOnly(() => parseProjectFile(encode(JSON.stringify(project)), "cog.yaml"));
      }),
      runs,
    );
  });
});

test("names are given once each, or the clash is a typed error", () => {
  const paths = fc
    .array(fc.constantFrom("a", "b", ".", ".a", ".gz", "/"), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(""));
  const files = fc.uniqueArray(
    fc.record({ below: paths, name: fc.option(fc.constantFrom("a", "b.a"), { nil: undefined }) }),
    { selector: ({ below }) => below, maxLength: 8 },
  );
  fc.assert(
    fc.property(files, (list) => {
      typedOnly(() => {
        const named = giveNames(list.map((file) => ({ ...file, path: `/w/${file.below}` })));
        expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
      });
    }),
    runs,
  );
});

test("a format is chosen, or the contradiction is a typed error", () => {
  const text = fc.option(fc.oneof(fc.constantFrom("bundle", "standalone", "1", ""), fc.string()), {
    nil: undefined,
  });
  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      (flag, OCIBUNDLE_FORMAT, COG_OCI_INDEX, [hasImage, hasWeights, weightsGiven]) => {
        typedOnly(() => {
          const env = { OCIBUNDLE_FORMAT, COG_OCI_INDEX };
          const format = chooseImageFormat({ flag, env, hasImage, hasWeights, weightsGiven });
          expect(format === "weights").toBe(!hasImage);
          if (format === "bundle") expect(hasWeights).toBe(true);
          if (format === "standalone") expect(weightsGiven).toBe(false);
        });
      },
    ),
    runs,
  );
});

test("annotations that are accepted are read again from the manifest", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("constructor", "prototype", "__proto__"),
  );
  const texts = fc.array(
    fc.oneof(
      word,
      fc.tuple(word, word).map((pair) => pair.join("=")),
    ),
    {
      maxLength: 4,
    },
  );
  const plain = weightsManifest([]);
  fc.assert(
    fc.property(texts, (given) => {
      typedOnly(() => {
        const chosen = parseAnnotations(given);
        const raw = annotated(plain, chosen);
        expect(parseDocument(raw.bytes, ImageManifestSchema, "manifest").annotations ?? {}).toEqual(
          {
            ...chosen,
          },
        );
      });
    }),
    runs,
  );
});

function typedOnly(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    expect(error.message).not.toBe("");
  }
}
