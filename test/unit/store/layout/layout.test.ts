import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OcibundleError } from "../../../../src/errors.ts";
import { digestHex, digestOf } from "../../../../src/oci/digest.ts";
import type { RawManifest } from "../../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { openLayout } from "../../../../src/store/layout/layout.ts";
import { createLayout } from "../../../../src/store/layout/layout-writer.ts";
import { failureText } from "../../../support/failure.ts";

const { signal } = new AbortController();
let directory: string;
let layout: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-layout-"));
  layout = join(directory, "layout");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const raw = (mediaType: string, members: object): RawManifest => {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...members }));
  return { mediaType, digest: digestOf(bytes), bytes };
};
const config = { mediaType: mediaTypes.ociConfig, digest: digestOf("{}"), size: 2 };
const image = (seed: string): RawManifest =>
  raw(mediaTypes.ociManifest, { config, layers: [], annotations: { seed } });
const indexOf = (...children: readonly RawManifest[]): RawManifest =>
  raw(mediaTypes.ociIndex, {
    manifests: children.map(({ mediaType, digest, bytes }) => ({
      mediaType,
      digest,
      size: bytes.byteLength,
    })),
  });

const readIndexFile = async () =>
  JSON.parse(await readFile(join(layout, "index.json"), "utf8")) as {
    manifests: { digest: string; annotations?: Record<string, string> }[];
  };
const blobFile = (digest: RawManifest["digest"]): string =>
  join(layout, "blobs", "sha256", digestHex(digest));

const failure = async (work: Promise<unknown>): Promise<string> =>
  (await failureText(work)).replaceAll(directory, "…");

describe("a new layout directory", () => {
  test("has what the format asks for, and nothing else", async () => {
    await createLayout(layout, signal);
    expect(JSON.parse(await readFile(join(layout, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
    expect(await readIndexFile()).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
    } as never);
    expect((await readdir(layout)).toSorted()).toEqual(["index.json", "oci-layout"]);
  });

  test("is not made in a directory that has other things in it", async () => {
    await mkdir(layout);
    await writeFile(join(layout, "thesis.txt"), "years of work");
    expect(await failure(createLayout(layout, signal))).toBe(
      "conflict: oci:…/layout: the directory contains other files",
    );
    expect(await readdir(layout)).toEqual(["thesis.txt"]);
  });

  test("is not made where a file is in the way", async () => {
    await writeFile(layout, "");
    expect(await failure(createLayout(layout, signal))).toBe(
      `conflict: "…/layout": cannot write: a file with that name exists`,
    );
  });

  test("lists a manifest without a tag once, and no longer once an index lists it", async () => {
    const store = await createLayout(layout, signal);
    const child = image("a");
    await store.writeManifest(child, undefined, signal);
    await store.writeManifest(child, undefined, signal);
    expect((await readIndexFile()).manifests).toEqual([]);
    await store.commit(signal);
    expect((await readIndexFile()).manifests.map(({ digest }) => digest)).toEqual([child.digest]);

    const root = indexOf(child);
    for (const tag of ["v1", undefined]) {
      await store.writeManifest(child, undefined, signal);
      await store.writeManifest(root, tag, signal);
      await store.commit(signal);
      const { manifests } = await readIndexFile();
      expect(manifests.map(({ digest }) => digest)).toEqual([root.digest]);
    }
    expect((await store.readRoot(undefined, signal)).digest).toBe(root.digest);
  });

  test("keeps a tagged child listed", async () => {
    const store = await createLayout(layout, signal);
    const child = image("a");
    const root = indexOf(child);
    await store.writeManifest(child, "weights", signal);
    await store.writeManifest(root, "v1", signal);
    expect((await store.readRoot("weights", signal)).digest).toBe(child.digest);
    expect((await readIndexFile()).manifests).toHaveLength(2);
  });

  test("refuses manifest bytes of another digest", async () => {
    const store = await createLayout(layout, signal);
    const wrong = { ...image("a"), bytes: image("b").bytes };
    expect(await failure(store.writeManifest(wrong, "v1", signal))).toMatch(
      /^integrity: manifest sha256:[0-9a-f]{12}: the content does not match this digest$/,
    );
    expect((await readIndexFile()).manifests).toEqual([]);
  });
});

describe("a layout directory that others wrote", () => {
  const foreign = {
    schemaVersion: 2,
    "com.example.extra": { kept: true },
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        digest: digestOf("elsewhere"),
        size: 9,
        "com.example.entry": [1, 2],
        annotations: { "org.opencontainers.image.ref.name": "other", note: "kept" },
      },
    ],
    annotations: { "com.example": "kept" },
  };

  beforeEach(async () => {
    await mkdir(layout);
    await writeFile(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    await writeFile(join(layout, "index.json"), JSON.stringify(foreign, undefined, 4));
  });

  test("keeps what is not known here", async () => {
    const store = await createLayout(layout, signal);
    const manifest = image("a");
    await store.writeManifest(manifest, "v1", signal);
    const { manifests, ...rest } = await readIndexFile();
    const { manifests: before, ...restBefore } = foreign;
    expect(rest).toEqual(restBefore);
    expect(manifests[0]).toEqual(before[0] as never);
    expect(manifests[1]?.annotations).toEqual({ "org.opencontainers.image.ref.name": "v1" });
  });

  test("keeps entries that can't be read, and tells of them where no other is meant", async () => {
    const strange = [null, { mediaType: "a/b", digest: "md5:1", size: 1 }];
    await writeFile(join(layout, "index.json"), JSON.stringify({ manifests: strange }));
    const store = await createLayout(layout, signal);
    const why = "index.json has entries that cannot be read: manifests.0: must be an object";
    expect(await failure(store.readRoot("v1", signal))).toBe(
      `file: oci:…/layout: no tag "v1" can be found: ${why}`,
    );
    expect(await failure(store.readRoot(undefined, signal))).toBe(
      `file: oci:…/layout: no image can be found: ${why}`,
    );
    await store.writeManifest(image("a"), "v1", signal);
    expect((await store.readRoot("v1", signal)).digest).toBe(image("a").digest);
    const { manifests } = await readIndexFile();
    expect(manifests.slice(1)).toEqual(strange as never);
  });

  test("is read whatever version of manifests its index.json says, and with text in Latin 1", async () => {
    const said = { ...foreign, schemaVersion: 1 };
    const text = JSON.stringify(said).replace("kept", "ké");
    await writeFile(join(layout, "index.json"), Buffer.from(text, "latin1"));
    const store = await createLayout(layout, signal);
    await store.writeManifest(image("a"), "v1", signal);
    const { manifests, schemaVersion } = (await readIndexFile()) as { schemaVersion?: number } & {
      manifests: unknown[];
    };
    expect(manifests).toHaveLength(2);
    expect(schemaVersion).toBe(2);
  });

  test("keeps its bytes when nothing changes", async () => {
    const before = await readFile(join(layout, "index.json"), "utf8");
    await createLayout(layout, signal);
    expect(await readFile(join(layout, "index.json"), "utf8")).toBe(before);
  });

  test("is refused in a version that is not known", async () => {
    await writeFile(join(layout, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
    const says = 'file: oci:…/layout: oci-layout: version "2.0.0" is not supported';
    expect(await failure(openLayout(layout))).toBe(says);
    expect(await failure(createLayout(layout, signal))).toBe(says);
  });

  test("is read without its marker, or with an odd one, by who is told of it, and not written", async () => {
    const marker = join(layout, "oci-layout");
    for (const [text, warning] of [
      ['{"imageLayoutVersion":"2.0.0"}', 'version "2.0.0" is not supported'],
      ["{}", "imageLayoutVersion: is missing"],
      ["", "not a JSON document"],
      [undefined, 'no file "oci-layout"'],
    ] as const) {
      if (text === undefined) await rm(marker);
      else await writeFile(marker, text);
      const warnings: string[] = [];
      const reader = await openLayout(layout, undefined, (message) => void warnings.push(message));
      expect(await reader.tagOf(digestOf("elsewhere"), signal)).toBe("other");
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(warning);
      expect(warnings[0]).toEndWith(": ignored");
      expect(await failure(createLayout(layout, signal))).toMatch(/^(?:file|conflict): /);
    }
    // Without an index as well it is nothing that could be read.
    await rm(join(layout, "index.json"));
    const nothing = openLayout(layout, undefined, () => undefined);
    expect(await failure(nothing)).toContain('no file "oci-layout"');
  });

  const brokenIndexes: Record<string, string> = {
    "{": "not a JSON document",
    '{"schemaVersion":2,"manifests":7}': "manifests: Invalid type: Expected Array but received 7",
    '{"schemaVersion":"2","manifests":[]}': "schemaVersion: must be a number",
  };
  for (const [text, why] of Object.entries(brokenIndexes)) {
    test(`is refused with an index.json ${text.slice(0, 40)}`, async () => {
      await writeFile(join(layout, "index.json"), text);
      const reader = await openLayout(layout);
      expect(await failure(reader.readRoot("v1", signal))).toBe(
        `file: oci:…/layout: index.json: ${why}`,
      );
      // And it is not written over.
      const store = await createLayout(layout, signal);
      await failure(store.writeManifest(image("a"), "v1", signal));
      expect(await readFile(join(layout, "index.json"), "utf8")).toBe(text);
    });
  }

  test("without an index.json, or no directory at all, is no layout", async () => {
    await rm(join(layout, "index.json"));
    const reader = await openLayout(layout);
    expect(await failure(reader.readRoot("v1", signal))).toBe(
      'file: oci:…/layout: not an OCI image layout: no file "index.json"',
    );
    await rm(join(layout, "oci-layout"));
    expect(await failure(openLayout(layout))).toBe(
      'file: oci:…/layout: not an OCI image layout: no file "oci-layout"',
    );
    expect(await failure(openLayout(join(directory, "none")))).toBe(
      "file: oci:…/none: no such directory",
    );
    expect(await failure(openLayout(join(layout, "oci-layout", "x")))).toBe(
      "file: oci:…/layout/oci-layout/x: no such directory",
    );
  });
});

describe("choosing an image of a layout", () => {
  test("without a tag takes the only one, whatever tags it has", async () => {
    const store = await createLayout(layout, signal);
    expect(await failure(store.readRoot(undefined, signal))).toBe(
      "not_found: oci:…/layout: the layout is empty",
    );
    await store.writeManifest(image("a"), "v1", signal);
    await store.writeManifest(image("a"), "v2", signal);
    expect((await store.readRoot(undefined, signal)).digest).toBe(image("a").digest);
    await store.writeManifest(image("b"), "v3", signal);
    expect(await failure(store.readRoot(undefined, signal))).toBe(
      "usage: oci:…/layout: 3 images, but no tag was specified",
    );
  });

  test("by a tag that it lacks says which it has", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(image("a"), "v1", signal);
    const error = await store.readRoot("v2", signal).catch((thrown: OcibundleError) => thrown);
    expect(error).toMatchObject({ code: "not_found", hint: 'use one of the tags "v1"' });
  });

  test("by a tag that two have is refused", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(image("a"), "v1", signal);
    await store.writeManifest(image("b"), "v2", signal);
    const text = await readFile(join(layout, "index.json"), "utf8");
    await writeFile(join(layout, "index.json"), text.replace('"v2"', '"v1"'));
    expect(await failure(store.readRoot("v1", signal))).toBe(
      'usage: oci:…/layout: 2 images have the tag "v1"',
    );
    const { digest } = image("b");
    const error = await store.readRoot("v1", signal).catch((thrown: OcibundleError) => thrown);
    expect((error as OcibundleError).hint).toContain(`"${digest}"`);
    expect((await store.readRoot(digest, signal)).digest).toBe(digest);
  });

  test("by its whole name, where two have the tag", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(image("a"), "latest", signal);
    await store.writeManifest(image("b"), "v2", signal);
    const path = join(layout, "index.json");
    const index = JSON.parse(await readFile(path, "utf8"));
    for (const [at, entry] of index.manifests.entries()) {
      entry.annotations = {
        "org.opencontainers.image.ref.name": "latest",
        "io.containerd.image.name": `docker.io/library/${at === 0 ? "a" : "b"}:latest`,
      };
    }
    await writeFile(path, JSON.stringify(index));
    for (const name of ["b:latest", "docker.io/library/b:latest", "library/b:latest"]) {
      expect((await store.readRoot(name, signal)).digest).toBe(image("b").digest);
    }
    for (const tag of ["latest", undefined]) {
      const error = await store.readRoot(tag, signal).catch((thrown: OcibundleError) => thrown);
      expect(error).toMatchObject({
        code: "usage",
        hint: 'use one of the tags "docker.io/library/a:latest", "docker.io/library/b:latest"',
      });
    }
  });
});

describe("a damaged layout", () => {
  const manifest = image("a");

  test("is noticed by manifest", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(manifest, "v1", signal);
    const good = await readFile(blobFile(manifest.digest));

    await writeFile(blobFile(manifest.digest), Buffer.from(good).fill(0x20, 10, 12));
    for (const wanted of ["v1", manifest.digest]) {
      expect(await failure(store.readManifest(wanted, signal))).toEndWith(
        "the content does not match this digest",
      );
    }
    await writeFile(blobFile(manifest.digest), good.subarray(1));
    expect(await failure(store.readManifest("v1", signal))).toMatch(
      /^integrity: .*: \d+ bytes, index.json has \d+$/,
    );
    await rm(blobFile(manifest.digest));
    expect(await failure(store.readManifest("v1", signal))).toStartWith("not_found: ");
  });

  test("is noticed by a blob's size, and by its change while it is read", async () => {
    const store = await createLayout(layout, signal);
    const bytes = Buffer.from("blob");
    const descriptor = { mediaType: "a/b", digest: digestOf(bytes), size: 4 };
    const source = () => Promise.resolve({ kind: "bytes" as const, bytes });
    const blob = { descriptor, label: "blob", group: "image", source };
    await store.writeBlob(blob, { signal });
    expect(await store.writeBlob(blob, { signal })).toBe("present");

    const found = await store.blobSource(descriptor, signal);
    if (found.kind !== "file") throw new Error("no file");
    await found.check?.();
    await writeFile(blobFile(descriptor.digest), "blobs");
    expect(await failure(found.check?.() ?? Promise.resolve())).toStartWith("integrity: ");
    expect(await failure(store.blobSource(descriptor, signal))).toEndWith(
      "5 bytes, the descriptor has 4",
    );
    // A blob of another size is as good as none: it is written anew.
    expect(await store.writeBlob(blob, { signal })).toBe("sent");
    expect(await readFile(blobFile(descriptor.digest), "utf8")).toBe("blob");
  });

  test("is noticed by media types that do not agree", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(manifest, "v1", signal);
    const text = await readFile(join(layout, "index.json"), "utf8");
    await writeFile(
      join(layout, "index.json"),
      text.replace(`"mediaType":"${mediaTypes.ociManifest}"`, '"mediaType":"a/b"'),
    );
    expect(await failure(store.readRoot("v1", signal))).toEndWith(
      `the media type is "${mediaTypes.ociManifest}", the descriptor has "a/b"`,
    );
  });

  test("does not fill the memory with a manifest of gigabytes", async () => {
    const store = await createLayout(layout, signal);
    await store.writeManifest(manifest, "v1", signal);
    await writeFile(blobFile(manifest.digest), Buffer.alloc(9 * 1024 * 1024));
    expect(await failure(store.readManifest(manifest.digest, signal))).toEndWith("9437184 bytes");
  });
});

test("a manifest without a media type is known by its members", async () => {
  const store = await createLayout(layout, signal);
  const put = async (document: object, mediaType: string) => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    await store.writeManifest({ mediaType, digest, bytes }, undefined, signal);
    return (await store.readManifest(digest, signal)).mediaType;
  };
  expect(await put({ schemaVersion: 2, config, layers: [] }, mediaTypes.ociManifest)).toBe(
    mediaTypes.ociManifest,
  );
  expect(await put({ schemaVersion: 2, manifests: [] }, mediaTypes.ociIndex)).toBe(
    mediaTypes.ociIndex,
  );
  expect(await failure(put({ schemaVersion: 2 }, "a/b"))).toEndWith(
    "neither a manifest nor an index",
  );
});

test("temporary files of a run that was killed go after a day, and not before", async () => {
  await createLayout(layout, signal);
  const old = join(layout, `.ocibundle-${crypto.randomUUID()}.tmp`);
  const young = join(layout, `.ocibundle-${crypto.randomUUID()}.tmp`);
  await writeFile(old, "half");
  await writeFile(young, "half");
  const twoDaysAgo = new Date(Date.now() - 48 * 3600 * 1000);
  await utimes(old, twoDaysAgo, twoDaysAgo);
  await createLayout(layout, signal);
  const left = await readdir(layout);
  expect(left.some((name) => old.endsWith(name))).toBe(false);
  expect(left.some((name) => young.endsWith(name))).toBe(true);
});

test.if(process.getuid?.() !== 0)(
  "a directory without permission is said to be one (root has them all)",
  async () => {
    await mkdir(layout);
    await chmod(layout, 0o500);
    expect(await failure(createLayout(layout, signal))).toBe(
      `file: "…/layout/oci-layout": cannot write: permission denied`,
    );
  },
);

test("tags that one process writes at the same time are all kept", async () => {
  const stores = [await createLayout(layout, signal), await createLayout(layout, signal)];
  const tags = Array.from({ length: 10 }, (_, at) => `tag${at}`);
  await Promise.all(tags.map((tag, at) => stores[at % 2]?.writeManifest(image(tag), tag, signal)));
  const { manifests } = await readIndexFile();
  expect(manifests).toHaveLength(tags.length);
});

test("tags that processes write at the same time are all kept", async () => {
  const script = join(import.meta.dir, "../../../support/store/layout-tagger.ts");
  const processes = ["a", "b", "c"].map((name) =>
    Bun.spawn([process.execPath, script, layout, name, "8"], { stderr: "pipe" }),
  );
  for (const child of processes) {
    const errors = await new Response(child.stderr).text();
    expect({ status: await child.exited, errors }).toEqual({ status: 0, errors: "" });
  }
  const { manifests } = await readIndexFile();
  const tags = manifests.map(
    ({ annotations }) => annotations?.["org.opencontainers.image.ref.name"],
  );
  const expected = ["a", "b", "c"].flatMap((name) =>
    Array.from({ length: 8 }, (_, at) => `${name}${at}`),
  );
  expect(tags.toSorted()).toEqual(expected);
  expect((await readdir(layout)).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
}, 30_000);
