import { describe, expect, test } from "bun:test";
import { leftOutWarning, readModelImage } from "../../../../src/model/graph/image-part.ts";
import { digestOf, shortDigest } from "../../../../src/oci/digest.ts";
import {
  bestForPlatform,
  formatPlatform,
  formatWithVersion,
  matchesPlatform,
  parsePlatform,
  writtenPlatform,
} from "../../../../src/oci/platform.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  amd64,
  arm64,
  entryOf,
  layoutBench,
  type LayoutBench,
  signal,
  unknownPlatform,
} from "../../../support/model/layout-bench.ts";

const weightsOf = async ({ manifest, blob }: LayoutBench) =>
  manifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.cog.weights.v1",
    config: await blob("{}", mediaTypes.ociEmpty),
    layers: [],
  });

describe("a single image", () => {
  test("has the platform of its config, variant included", async () => {
    const bench = await layoutBench();
    const root = await bench.image({ ...arm64, variant: "v8" }, "layer");
    const { images } = await readModelImage(bench.layout, root, undefined, signal);
    expect(images).toEqual([entryOf(root, { platform: { ...arm64, variant: "v8" } })]);
  });

  test("is taken when it is the one that was asked for, and only then", async () => {
    const bench = await layoutBench();
    const root = await bench.image(arm64, "layer");
    const ask = (platform: string) =>
      readModelImage(bench.layout, root, parsePlatform(platform), signal);
    expect((await ask("linux/arm64")).root).toBe(root);
    expect(await failureOf(ask("linux/amd64"))).toMatchObject({
      code: "not_found",
      message: "oci:layout: no image for linux/amd64",
      hint: "it has linux/arm64",
    });
  });

  test("is no image when it is an artifact", async () => {
    const bench = await layoutBench();
    const root = await weightsOf(bench);
    expect(await failureOf(readModelImage(bench.layout, root, undefined, signal))).toMatchObject({
      code: "file",
      message: 'oci:layout: an artifact of type "application/vnd.cog.weights.v1", not an image',
      hint: "use --image for images, and --weights for weights",
    });
  });

  test("is no image when it is a document of another kind", async () => {
    const bench = await layoutBench();
    const root = await bench.manifest({ mediaType: "application/vnd.example+json" });
    expect((await failureOf(readModelImage(bench.layout, root, undefined, signal))).message).toBe(
      'oci:layout: "application/vnd.example+json" is not an image',
    );
  });
});

const bundle = async () => {
  const bench = await layoutBench();
  const one = entryOf(await bench.image(amd64, "one"), { platform: amd64 });
  const two = entryOf(await bench.image(arm64, "two"), {
    platform: { ...arm64, variant: "v8" },
  });
  const attestation = entryOf(await bench.image(unknownPlatform, "attestation"), {
    platform: unknownPlatform,
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  });
  const weights = entryOf(await weightsOf(bench), {
    artifactType: "application/vnd.cog.weights.v1",
    platform: unknownPlatform,
  });
  const root = await bench.index(weights, attestation, two, one);
  return { ...bench, root, one, two, attestation };
};

const rankCases = {
  "linux/arm64/v8": ["arm64", "arm64/v8"],
  "linux/aarch64": ["arm64"],
  "linux/x86_64": ["amd64"],
  "linux/x86-64": ["amd64"],
  "linux/amd64/v1": ["amd64"],
  "Linux/AMD64": ["amd64"],
  "linux/amd64/v2": ["amd64"],
  "linux/amd64/v3": ["amd64/v3", "amd64"],
  "linux/amd64": ["amd64", "amd64/v3"],
  "linux/i386": ["386"],
  "linux/arm": ["arm/v7", "arm/v6", "arm/v5", "arm/v8"],
  "linux/arm/7": ["arm/v7"],
  "linux/armhf": ["arm/v7"],
  "linux/armel": ["arm/v6", "arm/v5"],
  "linux/arm/v6": ["arm/v6", "arm/v5"],
};

describe("the order of platforms", () => {
  test.each(Object.entries(rankCases))("for %s is %p", (wanted, best) => {
    const all = ["amd64/v3", "amd64", "386", "arm64/v8", "arm/v5", "arm/v8", "arm/v6", "arm/v7"];
    let left = all.map((text) => ({ text, platform: parsePlatform(`linux/${text}`) }));
    for (const text of best) {
      if (!left.some((choice) => choice.text === text)) continue;
      const chosen = bestForPlatform(left, parsePlatform(wanted));
      expect(chosen?.text).toBe(text);
      left = left.filter((choice) => choice !== chosen);
    }
    if (wanted === "linux/arm/v6") {
      expect(bestForPlatform(left, parsePlatform(wanted))).toBeUndefined();
    }
  });
});

describe("a platform", () => {
  const spellings: Record<string, readonly string[]> = {
    "linux/amd64": ["amd64", "x86_64", "linux", "Linux/x64"],
    "linux/arm64": ["arm64", "aarch64", "arm64/v8"],
    "linux/386": ["i686", "linux/x86", "i386/x"],
    "linux/arm/v7": ["arm", "linux/armv7l", "armhf", "arm/v7"],
    "linux/arm/v6": ["arm/v6", "linux/armv6l", "armel"],
    "linux/ppc64le": ["linux/ppc64el", "powerpc64le"],
    "linux/mips64le": ["linux/mips64el"],
    "linux/loong64": ["loongarch64"],
    "darwin/arm64": ["macos/aarch64"],
    "windows/amd64": ["windows", "windows(10.0.20348)/amd64", "windows/amd64:10.0.20348.1"],
  };
  const all = Object.keys(spellings).map((text) => ({ text, platform: parsePlatform(text) }));
  test.each(Object.entries(spellings))("%s is also written %p", (text, others) => {
    for (const other of others) {
      expect(bestForPlatform(all, parsePlatform(other, amd64))?.text).toBe(text);
    }
  });

  test.each([
    "",
    "/",
    "linux/",
    "linux/amd64/",
    "linux/amd64/v1/x",
    "quux",
    "windows()/amd64",
    "windows(10.0",
    "windows(1 0)/amd64",
    "linux/amd64:",
    "windows(10)/amd64:10",
    "constructor",
  ])("%p is none", async (text) => {
    const failure = await failureOf(Promise.try(() => parsePlatform(text, amd64)));
    expect(failure).toMatchObject({ code: "usage", message: `"${text}" is not a platform` });
  });

  test.each(["constructor", "__proto__", "toString"])("of the names %p is another one", (name) => {
    const strange = { os: name, architecture: name };
    expect(formatPlatform(strange)).toBe(`${name}/${name}`.toLowerCase());
    expect(matchesPlatform(strange, amd64)).toBe(false);
    expect(matchesPlatform(strange, strange)).toBe(true);
    expect(matchesPlatform({ ...strange, variant: "v1" }, { ...strange, variant: "v2" })).toBe(
      true,
    );
  });

  test("is written with its version", () => {
    expect(writtenPlatform(parsePlatform("windows(10.0.20348)/x86_64"))).toEqual({
      os: "windows",
      architecture: "amd64",
      "os.version": "10.0.20348",
    });
  });

  test("of Windows has a version, of which the build counts", () => {
    const versions = ["10.0.17763.1", "10.0.20348.1", "10.0.20348.2", undefined];
    const images = versions.map((version) => ({
      platform: {
        os: "windows",
        architecture: "amd64",
        ...(version === undefined ? {} : { "os.version": version }),
      },
    }));
    const best = (wanted: string, among = images) =>
      bestForPlatform(among, parsePlatform(wanted))?.platform["os.version"];
    expect(best("windows/amd64")).toBe("10.0.17763.1");
    expect(best("windows(10.0.20348)/amd64")).toBe("10.0.20348.1");
    expect(best("windows/amd64:10.0.20348.2")).toBe("10.0.20348.2");
    expect(best("windows/amd64,osver=10.0.20348.9")).toBe("10.0.20348.1");
    // One that says nothing may be right.
    expect(best("windows(10.0.26100)/amd64")).toBeUndefined();
    const wanted = parsePlatform("windows(10.0.26100)/amd64");
    expect(bestForPlatform(images, wanted)).toBe(images[3]);
    expect(bestForPlatform(images.slice(0, 3), wanted)).toBeUndefined();
    expect(formatWithVersion(wanted)).toBe("windows(10.0.26100)/amd64");
  });
});

describe("an index", () => {
  test("of indexes gives the image for a platform, with what is attested of it", async () => {
    const bench = await layoutBench();
    const image = entryOf(await bench.image(arm64, "arm"));
    const attested = entryOf(await bench.image(unknownPlatform, "attested"), {
      platform: unknownPlatform,
      annotations: {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.digest,
      },
    });
    const absent = { mediaType: mediaTypes.ociIndex, digest: digestOf("absent"), size: 6 };
    const inner = entryOf(await bench.index(image, attested), { platform: arm64 });
    const root = await bench.index({ ...absent, platform: amd64 }, inner);
    const found = await readModelImage(bench.layout, root, parsePlatform("linux/arm64"), signal);
    expect(found.images).toEqual([{ ...image, platform: arm64 }]);
    expect(found.kept).toEqual([attested]);
    const missing = readModelImage(bench.layout, root, parsePlatform("linux/amd64"), signal);
    expect((await failureOf(missing)).code).toBe("not_found");
  });

  test("that says no platforms, or half of one, is told by the configs", async () => {
    const bench = await layoutBench();
    const half = { os: "linux" } as { os: string; architecture: string };
    const one = entryOf(await bench.image(amd64, "one"), { platform: half });
    const two = entryOf(await bench.image({ ...arm64, os: "" }, "two"));
    const root = await bench.index(one, two);
    const ask = (text: string) =>
      readModelImage(bench.layout, root, parsePlatform(text), signal).then(
        ({ images }) => images[0]?.digest,
      );
    expect(await ask("linux/amd64")).toBe(one.digest);
    expect(await ask("linux/arm64")).toBe(two.digest);
    const all = await readModelImage(bench.layout, root, undefined, signal);
    expect(all.images.map(({ digest }) => digest)).toEqual([one.digest, two.digest]);
  });

  test("of one image that says no platform anywhere gives it where none was asked for", async () => {
    const bench = await layoutBench();
    const only = entryOf(await bench.image({ os: "", architecture: "" }, "only"));
    const root = await bench.index(only);
    const ask = (takesLone: boolean) =>
      readModelImage(bench.layout, root, parsePlatform("linux/amd64"), signal, { takesLone });
    expect((await ask(true)).root.digest).toBe(only.digest);
    expect((await failureOf(ask(false))).code).toBe("not_found");
    const two = await bench.index(
      only,
      entryOf(await bench.image({ os: "", architecture: "" }, "two")),
    );
    const among = readModelImage(bench.layout, two, parsePlatform("linux/amd64"), signal, {
      takesLone: true,
    });
    expect((await failureOf(among)).code).toBe("not_found");
    const arm = await bench.index(entryOf(await bench.image(arm64, "arm")));
    const other = readModelImage(bench.layout, arm, parsePlatform("linux/amd64"), signal, {
      takesLone: true,
    });
    expect((await failureOf(other)).hint).toBe("it has linux/arm64");
  });

  test("gives every platform, keeps attestations and leaves out weights, wherever they stand", async () => {
    const { layout, root, one, two, attestation } = await bundle();
    const image = await readModelImage(layout, root, undefined, signal);
    expect(image).toMatchObject({ images: [two, one], kept: [attestation] });
    const { manifests } = JSON.parse(new TextDecoder().decode(image.root.bytes));
    expect(manifests).toEqual([two, one, attestation]);
  });

  test("gives the platform asked for, whose variant counts where one is asked for", async () => {
    const { layout, root, two } = await bundle();
    const ask = (platform: string) => readModelImage(layout, root, parsePlatform(platform), signal);
    for (const platform of ["linux/arm64", "linux/arm64/v8"]) {
      const image = await ask(platform);
      expect(image.images).toEqual([two]);
      expect(image.kept).toEqual([]);
      expect(image.root.digest).toBe(two.digest);
    }
    expect(await failureOf(ask("linux/arm64/v7"))).toMatchObject({
      hint: "it has linux/arm64/v8, linux/amd64",
    });
  });

  test("of one image that says no platform is read as that image", async () => {
    const bench = await layoutBench();
    const only = await bench.image(arm64, "layer");
    const root = await bench.index(entryOf(only));
    const image = await readModelImage(bench.layout, root, undefined, signal);
    expect(image.images).toEqual([entryOf(only, { platform: arm64 })]);
  });

  test("without an image is refused", async () => {
    const bench = await layoutBench();
    const root = await bench.index();
    expect((await failureOf(readModelImage(bench.layout, root, undefined, signal))).message).toBe(
      "oci:layout: the index has no image",
    );
    const platform = parsePlatform("linux/amd64");
    expect((await failureOf(readModelImage(bench.layout, root, platform, signal))).hint).toBe(
      "the index has no platforms",
    );
  });
});

describe("an index with an entry that can't be read", () => {
  const strange = {
    mediaType: mediaTypes.ociManifest,
    digest: `blake3:${"a".repeat(64)}`,
    size: 3,
  };
  const why = "manifests.1.digest: must be a digest: sha256: and 64 lower-case hex digits";
  const withStrange = async () => {
    const bench = await layoutBench();
    const one = entryOf(await bench.image(amd64, "one"), { platform: amd64 });
    return { bench, one, root: await bench.index(one, strange as never) };
  };

  test("still has its image for a platform, and tells of the entry", async () => {
    const { bench, one, root } = await withStrange();
    const image = await readModelImage(bench.layout, root, amd64, signal);
    expect(image.images).toEqual([one]);
    expect(leftOutWarning(image)).toBe(`skipped, an entry cannot be read: ${why}`);
    const unreadable = [...(image.unreadable ?? []), ...(image.unreadable ?? [])];
    expect(leftOutWarning({ ...image, unreadable, leftOut: [one] })).toBe(
      `skipped, an entry cannot be read: ${why}, and 1 more; skipped, not marked as part of the image: ${one.mediaType} ${shortDigest(one.digest)}`,
    );
  });

  test("is an error where that entry may be the image, or where all are wanted", async () => {
    const { bench, root } = await withStrange();
    expect(await failureOf(readModelImage(bench.layout, root, arm64, signal))).toMatchObject({
      code: "file",
      message: `oci:layout: index: an entry cannot be read: ${why}`,
    });
    expect(await failureOf(readModelImage(bench.layout, root, undefined, signal))).toMatchObject({
      code: "file",
      message: `oci:layout: index: ${why}`,
    });
  });
});
