import { describe, expect, test } from "bun:test";
import { dirname } from "node:path";
import { command as verifyCommand } from "../../../../src/commands/verify.ts";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { inspectTensors } from "../../../../src/model/jobs/inspect-tensors.ts";
import { parsePlace } from "../../../../src/model/places/place.ts";
import { readServed } from "../../../../src/model/serve/snapshot.ts";
import { openSession } from "../../../../src/model/session/session.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { parseWeightsManifest } from "../../../../src/model/format/weights-artifact.ts";
import { readAllContents } from "../../../../src/model/graph/weights-contents.ts";
import { nodeOf } from "../../../../src/model/graph/repository-node.ts";
import { chooseImage } from "../../../../src/model/graph/image-choice.ts";
import { digestOf, shortDigest } from "../../../../src/oci/digest.ts";
import { parseIndexEntries } from "../../../../src/oci/index-entries.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import type { RawManifest } from "../../../../src/oci/manifest.ts";
import { failureOf } from "../../../support/failure.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import {
  amd64,
  arm64,
  entryOf,
  type LayoutBench,
  layoutBench,
  signal,
  weightsOf,
} from "../../../support/model/layout-bench.ts";

const schema1Type = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/** A layout whose root lists an image for arm64 beside something odd for amd64. */
async function modelWith(odd: (bench: LayoutBench) => Promise<object>) {
  const bench = await layoutBench();
  const image = await bench.image(arm64, "right");
  const root = await bench.index(entryOf(image, { platform: arm64 }), await odd(bench));
  await bench.layout.writeManifest(root, "v1", signal);
  await bench.layout.commit(signal);
  const job = jobIn(dirname(bench.directory));
  return { bench, image, root, job, source: "oci:layout:v1" };
}

const schema1 = async ({ manifest }: LayoutBench): Promise<object> =>
  entryOf(await manifest({ schemaVersion: 1, mediaType: schema1Type, fsLayers: [] }), {
    platform: amd64,
  });

const nested = async (bench: LayoutBench): Promise<object> => {
  let inner: RawManifest = await bench.image(amd64, "deep");
  for (let depth = 0; depth < 5; depth += 1) {
    inner = await bench.index(entryOf(inner, { platform: amd64 }));
  }
  return entryOf(inner, { platform: amd64 });
};

const ofOtherDigest = () =>
  Promise.resolve({ mediaType: mediaTypes.ociManifest, digest: "md5:1", size: 1, platform: amd64 });

const verify = (job: Job, source: string) =>
  verifySource(job, { source, dir: undefined, quick: false });

const none = { dir: undefined, hfCache: undefined, modelSignature: undefined };

test.each([
  ["a manifest of schema 1", schema1, "are not supported"],
  ["indexes nested without end", nested, "indexes are nested more than 4 levels deep"],
  ["an entry that can't be read", ofOtherDigest, "manifests.1.digest: must be a digest"],
])("%s is not compared by verify, and shown or told of by inspect", async (_, odd, why) => {
  const { image, job, source } = await modelWith(odd);
  const report = await verify(job, source);
  expect(report.problems.map(({ kind }) => kind)).toEqual(["uncompared"]);
  expect(report.problems[0]?.detail).toContain(why);
  // The image beside it: its config and its layer.
  expect(report.checked.items).toBe(2);
  const failure = verifyCommand.failure?.({ report }, none as never);
  expect(failure).toMatchObject({ code: "file", message: "verify oci:layout:v1: 1 not compared" });

  const shown = await inspectSource(job, source);
  if (shown.type === "lock") throw new Error("it is no lock");
  expect(shown.images.map(({ digest }) => digest)).toEqual([image.digest]);
  expect(shown.others.every(({ missing }) => !missing)).toBe(true);
  expect(job.warnings()).toHaveLength(1);
  expect(job.warnings()[0]).toContain(why);

  // What can't be compared is an error of its own to diff, and no difference.
  const error = await failureOf(diffModels(job, source, source));
  expect([error.code, error.message]).toEqual(["file", expect.stringContaining(why)]);
});

test("sizes that an index or a manifest leaves out are those that the layout has", async () => {
  const { bench, job, source } = await modelWith(async (one) => {
    const config = await one.blob(JSON.stringify(amd64), mediaTypes.ociConfig);
    const { size: _, ...layer } = await one.blob("unsized");
    const image = await one.manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { ...config, size: null },
      layers: [layer],
    });
    const { size: __, ...entry } = entryOf(image);
    return { ...entry, platform: amd64 };
  });
  expect(await verify(job, source)).toMatchObject({ checked: { items: 4 }, problems: [] });
  const shown = await inspectSource(job, source);
  if (shown.type === "lock") throw new Error("it is no lock");
  const bytes = JSON.stringify(amd64).length + "unsized".length;
  expect(shown.images.map(({ platform, size }) => [platform, size])).toContainEqual([
    "linux/amd64",
    bytes,
  ]);
  // Of what is not there, no size is known.
  const lost = await bench.index({ mediaType: mediaTypes.ociManifest, digest: digestOf("lost") });
  await bench.layout.writeManifest(lost, "lost", signal);
  const report = await verify(job, "oci:layout:lost");
  expect(report.problems.map(({ kind, detail }) => [kind, detail])).toEqual([
    ["uncompared", expect.stringContaining("manifests.0.size: is missing")],
  ]);
});

test("what differs is said beside what is not compared, and decides", async () => {
  const { job, source } = await modelWith(async (bench) => ({
    ...(await schema1(bench)),
    digest: digestOf("gone"),
  }));
  const report = await verify(job, source);
  expect(report.problems.map(({ kind }) => kind)).toEqual(["missing"]);
  const failure = verifyCommand.failure?.(
    {
      report: {
        ...report,
        problems: [...report.problems, { item: "it", kind: "uncompared", detail: "it is" }],
      },
    },
    none as never,
  );
  expect(failure).toMatchObject({
    code: "integrity",
    message: "verify oci:layout:v1: 1 missing, 1 not compared",
  });
});

test("an image in indexes that are nested too deep is not said to be missing", async () => {
  const { bench, root } = await modelWith(nested);
  const index = parseIndexEntries(root.bytes, "it");
  const error = await failureOf(chooseImage(bench.layout, index, amd64, signal));
  expect(error.code).toBe("file");
  expect(error.message).toEndWith("indexes are nested more than 4 levels deep");
  // Another platform's image is beside it.
  expect((await chooseImage(bench.layout, index, arm64, signal)).chosen).toBeDefined();
  expect(error.message).toContain(`index ${shortDigest(root.digest).slice(0, 7)}`);
});

/** The weights of a bench as an artifact whose media types have another case and parameters, and no config. */
async function oddlyTyped({ manifest, blob }: LayoutBench, name: string): Promise<RawManifest> {
  const layer = await blob(`weights ${name}`, "Application/vnd.cog.weights.layer.V1; x=y");
  const annotations = {
    "vnd.cog.weights.name": name,
    "vnd.cog.weights.dest": `/src/weights/${name}`,
  };
  return manifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.cog.WEIGHTS.v1",
    config: null,
    layers: [{ ...layer, annotations }],
  });
}

test("weights are known whatever the case and the parameters of their media types, and without a config", async () => {
  const bench = await layoutBench();
  const weights = await oddlyTyped(bench, "odd");
  const entries = parseWeightsManifest(weights, "it");
  expect(entries.map(({ name, mediaType }) => [name, mediaType])).toEqual([
    ["odd", "application/vnd.cog.weights.layer.v1"],
  ]);
  const root = await bench.index(
    entryOf(weights, { artifactType: "Application/vnd.cog.weights.v1;x" }),
    entryOf(await bench.image(arm64, "right"), { platform: arm64 }),
  );
  const contents = await readAllContents(bench.layout, root, signal);
  expect(contents.map(({ raw, format }) => [raw.digest, format])).toEqual([
    [weights.digest, "bundle"],
  ]);
  expect(nodeOf(weights, "it").kind).toBe("weights");
});

test("an entry that can't be read is passed over beside weights, unless it may be weights itself", async () => {
  const bench = await layoutBench();
  const weights = await weightsOf(bench, "w");
  const marked = entryOf(weights, { annotations: { "vnd.cog.reference.type": "weights" } });
  const read = async (...manifests: unknown[]) => {
    const passed: string[] = [];
    const root = await bench.index(...(manifests as object[]));
    const onPassed = (message: string) => void passed.push(message);
    const contents = await readAllContents(bench.layout, root, signal, { onPassed });
    return { digests: contents.map(({ raw }) => raw.digest), passed };
  };
  for (const stranger of [
    null,
    7,
    { digest: "md5:1" },
    { ...marked, digest: 7, annotations: {} },
    { mediaType: mediaTypes.ociManifest, digest: digestOf("gone"), size: 1, platform: "linux" },
  ]) {
    const { digests, passed } = await read(stranger, marked);
    expect(digests).toEqual([weights.digest]);
    expect(passed).toEqual([expect.stringContaining("an entry cannot be read: manifests.0")]);
  }
  const mayBeWeights = [
    { ...marked, size: null },
    { digest: 7, artifactType: "application/vnd.cog.weights.v1" },
    { digest: 7, annotations: { "run.cog.weight.name": "w" } },
  ];
  for (const other of mayBeWeights) {
    expect((await failureOf(read(marked, other))).message).toContain("manifests.1");
  }
  // Where nothing says what it is, anything may be weights.
  expect((await failureOf(read(entryOf(weights), null))).code).toBe("file");
  const strict = readAllContents(bench.layout, await bench.index(null as never, marked), signal);
  expect((await failureOf(strict)).code).toBe("file");
});

const strangers: [string, unknown][] = [
  ["no object", null],
  ["an unknown digest", { mediaType: mediaTypes.ociManifest, digest: "md5:1", size: 1 }],
  ["no size", { mediaType: mediaTypes.ociManifest, digest: digestOf("gone") }],
  [
    "a platform that is none",
    { mediaType: mediaTypes.ociManifest, digest: digestOf("gone"), size: 1, platform: "linux" },
  ],
];

describe.each(["bundle", "cog", "parts"])("copy --layout %s", (layout) => {
  test.each(["application/vnd.foreign+json", mediaTypes.ociManifest])(
    "passes over an entry of type %s whose manifest is missing, with a warning",
    async (mediaType) => {
      const digest = digestOf("gone");
      const job = await modelBeside({ mediaType, artifactType: "application/x", digest, size: 1 });
      const converted = "oci:converted:v1";
      await copyModel(job, {
        source: "oci:layout:v1",
        target: converted,
        platform: undefined,
        layout,
        referrers: false,
        dryRun: false,
      });
      expect(job.warnings().filter((text) => text.endsWith("skipped"))).toEqual([
        expect.stringContaining(shortDigest(digest)),
      ]);
      expect((await verify(job, converted)).problems).toEqual([]);
    },
  );
});

/** A layout with weights and an image beside what a stranger listed. */
async function modelBeside(stranger: unknown) {
  const bench = await layoutBench();
  const artifactType = "application/vnd.cog.weights.v1";
  const weights = entryOf(await weightsOf(bench, "model.bin", artifactType), { artifactType });
  const image = entryOf(await bench.image(amd64, "image"), { platform: amd64 });
  const root = await bench.index(weights, stranger as object, image);
  await bench.layout.writeManifest(root, "v1", signal);
  await bench.layout.commit(signal);
  return jobIn(dirname(bench.directory));
}

describe.each(strangers)("a stranger's entry with %s is passed over with a warning", (_, value) => {
  test.each(["bundle", "cog", "modelpack", "parts"])("by copy --layout %s", async (layout) => {
    const job = await modelBeside(value);
    await copyModel(job, {
      source: "oci:layout:v1",
      target: "oci:converted:v1",
      platform: undefined,
      layout,
      referrers: false,
      dryRun: false,
    });
    expect(job.warnings()).toContainEqual(
      expect.stringContaining("an entry cannot be read: manifests.1"),
    );
    const shown = await inspectSource(job, "oci:converted:v1");
    if (shown.type === "lock") throw new Error("it is no lock");
    expect(shown.images.map(({ platform }) => platform)).toEqual(
      layout === "modelpack" ? [] : ["linux/amd64"],
    );
    expect((await verify(job, "oci:converted:v1")).problems).toEqual([]);
  });

  test("by serve", async () => {
    const job = await modelBeside(value);
    const options = { root: undefined, session: openSession(job) };
    const place = await parsePlace(options.session, "oci:layout:v1");
    if (place.kind === "lock") throw new Error("it is no lock");
    const { reader, root, close } = await place.open();
    try {
      const { files } = await readServed(reader, root, options);
      expect(files.map(({ path }) => path)).toEqual(["model.bin"]);
    } finally {
      await close();
    }
    expect(job.warnings()).toEqual([
      expect.stringContaining("an entry cannot be read: manifests.1"),
    ]);
  });

  test("by inspect --tensors", async () => {
    const job = await modelBeside(value);
    expect((await inspectTensors(job, "oci:layout:v1")).files).toHaveLength(1);
    expect(job.warnings()).toHaveLength(1);
  });
});
