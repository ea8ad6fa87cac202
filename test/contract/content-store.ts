import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OcibundleError } from "../../src/errors.ts";
import type { BlobSource, ContentReader, ContentWriter } from "../../src/oci/content.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { RawManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { blobChunks } from "../../src/store/blob-chunks.ts";

/** A store that is empty and can be written, and once that is done, read. */
export interface OpenStore {
  writer: ContentWriter;
  /** Ends writing, where there is an end to it, and opens what was written. */
  read(): Promise<ContentReader>;
  /**
   * The digests of the manifests that who opens the place finds listed there without having been told of
   * any, `committed` or as a run that broke off leaves them. Absent where nothing lists manifests.
   */
  listed?(committed: boolean): Promise<string[]>;
  close(): Promise<void>;
}

const { signal } = new AbortController();

const descriptorOf = (bytes: Uint8Array, mediaType = "application/octet-stream"): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

const blobOf = (descriptor: Descriptor, source: BlobSource) => ({
  descriptor,
  label: "blob under test",
  group: "image",
  source: () => Promise.resolve(source),
});

const inMemory = (bytes: Uint8Array) => blobOf(descriptorOf(bytes), { kind: "bytes", bytes });

const jsonBytes = (document: unknown): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(document, undefined, 3));

const rawManifest = (mediaType: string, members: object): RawManifest => {
  const bytes = jsonBytes({ schemaVersion: 2, mediaType, ...members });
  return { mediaType, digest: digestOf(bytes), bytes };
};

async function bytesOf(source: BlobSource, size: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of blobChunks(source, { start: 0, end: size }, signal)) {
    parts.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(parts);
}

/** What the promise is rejected with. */
const failureOf = async (promise: Promise<unknown>): Promise<OcibundleError> => {
  try {
    await promise;
  } catch (error) {
    return error as OcibundleError;
  }
  throw new Error("nothing failed");
};

/** What every place that manifests and blobs are read from and written to has in common. */
export function contentStoreContract(name: string, openStore: () => Promise<OpenStore>): void {
  describe(name, () => {
    let store: OpenStore;
    let directory: string;

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), "ocibundle-contract-"));
      store = await openStore();
    });
    afterEach(async () => {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    });

    /** A manifest over blobs of its own, which are written. */
    const writtenImage = async (seed = "x"): Promise<RawManifest> => {
      const config = jsonBytes({ os: "linux", architecture: "amd64", seed });
      const layer = Buffer.from(`layer ${seed}`);
      for (const bytes of [config, layer])
        await store.writer.writeBlob(inMemory(bytes), { signal });
      return rawManifest(mediaTypes.ociManifest, {
        config: descriptorOf(config, mediaTypes.ociConfig),
        layers: [descriptorOf(layer, mediaTypes.ociLayer)],
      });
    };

    const large = randomBytes(5 * 1024 * 1024 + 17);
    const sources: { from: string; make: () => Promise<BlobSource> }[] = [
      { from: "memory", make: async () => ({ kind: "bytes", bytes: large }) },
      {
        from: "the middle of a file",
        make: async () => {
          const path = join(directory, "blob");
          await writeFile(path, Buffer.concat([Buffer.alloc(700, 1), large, Buffer.alloc(5, 2)]));
          return { kind: "file", path, offset: 700 };
        },
      },
      {
        from: "a stream",
        make: async () => ({
          kind: "stream",
          open: async ({ start, end }) => new Blob([large.subarray(start, end)]).stream(),
        }),
      },
    ];
    for (const { from, make } of sources) {
      test(`a blob from ${from} reads back the same, and its progress adds up`, async () => {
        const blob = blobOf(descriptorOf(large), await make());
        let progress = 0;
        const outcome = await store.writer.writeBlob(blob, {
          signal,
          onBytes: (bytes) => {
            progress += bytes;
          },
        });
        expect(outcome).toBe("sent");
        expect(progress).toBe(large.byteLength);

        const reader = await store.read();
        const source = await reader.blobSource(blob.descriptor, signal);
        expect(Buffer.compare(await bytesOf(source, large.byteLength), large)).toBe(0);
      });
    }

    test("part of a blob can be read", async () => {
      const bytes = randomBytes(100_000);
      await store.writer.writeBlob(inMemory(bytes), { signal });
      const reader = await store.read();
      const source = await reader.blobSource(descriptorOf(bytes), signal);
      const parts: Uint8Array[] = [];
      for await (const chunk of blobChunks(source, { start: 70_000, end: 70_010 }, signal)) {
        parts.push(Uint8Array.from(chunk));
      }
      expect(Buffer.compare(Buffer.concat(parts), bytes.subarray(70_000, 70_010))).toBe(0);
    });

    test("a blob is there once it is written, on both sides, and only with its size", async () => {
      const blob = inMemory(Buffer.from("here"));
      const wrong = { ...blob.descriptor, size: 5 };
      expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(false);
      await store.writer.writeBlob(blob, { signal });
      expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(true);
      expect(await store.writer.hasBlob(wrong, signal)).toBe(false);

      const reader = await store.read();
      expect(await reader.hasBlob(blob.descriptor, signal)).toBe(true);
      expect(await reader.hasBlob(wrong, signal)).toBe(false);
      expect(await reader.hasBlob(descriptorOf(Buffer.from("not here")), signal)).toBe(false);
    });

    test("an empty blob is a blob", async () => {
      const blob = inMemory(new Uint8Array(0));
      await store.writer.writeBlob(blob, { signal });
      expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(true);
      const reader = await store.read();
      expect(await bytesOf(await reader.blobSource(blob.descriptor, signal), 0)).toHaveLength(0);
    });

    test("the same blob may be written twice at once", async () => {
      const blob = inMemory(randomBytes(2_000_000));
      await Promise.all([1, 2, 3].map(() => store.writer.writeBlob(blob, { signal })));
      const reader = await store.read();
      const source = await reader.blobSource(blob.descriptor, signal);
      expect<string>(digestOf(await bytesOf(source, blob.descriptor.size))).toBe(
        blob.descriptor.digest,
      );
    });

    const promised = Buffer.from("the bytes that were promised");
    const others = {
      "other bytes of the same length": Buffer.from("the bytes that were premised"),
      "too few bytes": promised.subarray(1),
      "bytes that moved by one": Buffer.concat([Buffer.from("!"), promised]),
    };
    for (const [what, bytes] of Object.entries(others)) {
      test(`${what} are refused and leave no blob behind`, async () => {
        const path = join(directory, "changed");
        await writeFile(path, bytes);
        const blob = blobOf(descriptorOf(promised), { kind: "file", path, offset: 0 });
        const error = await failureOf(store.writer.writeBlob(blob, { signal }));
        expect(error.code).toBe("integrity");
        expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(false);

        // What went wrong once does not stand in the way of the right bytes.
        await store.writer.writeBlob(inMemory(promised), { signal });
        const reader = await store.read();
        const source = await reader.blobSource(blob.descriptor, signal);
        expect(Buffer.from(await bytesOf(source, promised.byteLength)).toString()).toBe(
          promised.toString(),
        );
      });
    }

    test("a source that fails passes its error on and leaves no blob behind", async () => {
      const blob = {
        ...inMemory(promised),
        source: () => Promise.reject(new RangeError("no such weight")),
      };
      expect(await failureOf(store.writer.writeBlob(blob, { signal }))).toBeInstanceOf(RangeError);
      expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(false);
    });

    test("a manifest is read under its tag and under its digest, its bytes untouched", async () => {
      const manifest = await writtenImage();
      await store.writer.writeManifest(manifest, "v1", signal);
      const reader = await store.read();
      for (const wanted of ["v1", manifest.digest]) {
        const found = await reader.readManifest(wanted, signal);
        expect(found.mediaType).toBe(mediaTypes.ociManifest);
        expect(found.digest).toBe(manifest.digest);
        expect(Buffer.compare(found.bytes, manifest.bytes)).toBe(0);
      }
    });

    test("a tag moves to what was written last; what it stood for before is still there", async () => {
      const first = await writtenImage("first");
      const second = await writtenImage("second");
      await store.writer.writeManifest(first, "v1", signal);
      await store.writer.writeManifest(second, "v1", signal);
      const reader = await store.read();
      expect((await reader.readManifest("v1", signal)).digest).toBe(second.digest);
      expect((await reader.readManifest(first.digest, signal)).digest).toBe(first.digest);
    });

    test("one manifest may have several tags", async () => {
      const manifest = await writtenImage();
      await store.writer.writeManifest(manifest, "v1", signal);
      await store.writer.writeManifest(manifest, "latest", signal);
      const reader = await store.read();
      for (const tag of ["v1", "latest"]) {
        expect((await reader.readManifest(tag, signal)).digest).toBe(manifest.digest);
      }
    });

    test("an index and what it lists can be read", async () => {
      const child = await writtenImage();
      const platform = { os: "linux", architecture: "amd64" };
      const entry = { ...descriptorOf(child.bytes, child.mediaType), platform };
      const index = rawManifest(mediaTypes.ociIndex, { manifests: [entry] });
      await store.writer.writeManifest(child, undefined, signal);
      await store.writer.writeManifest(index, "v1", signal);
      const reader = await store.read();
      expect((await reader.readManifest("v1", signal)).mediaType).toBe(mediaTypes.ociIndex);
      expect((await reader.readManifest(child.digest, signal)).mediaType).toBe(
        mediaTypes.ociManifest,
      );
    });

    test("a run that broke off leaves no untagged manifest listed; one that did not, lists it", async () => {
      if (store.listed === undefined) return;
      const [child, referrer] = [await writtenImage("child"), await writtenImage("referrer")];
      const index = rawManifest(mediaTypes.ociIndex, {
        manifests: [descriptorOf(child.bytes, child.mediaType)],
      });
      await store.writer.writeManifest(child, undefined, signal);
      await store.writer.writeManifest(index, undefined, signal);
      await store.writer.writeManifest(referrer, "sha256-tag.sig", signal);
      expect(await store.listed(false)).not.toContain(index.digest);
      expect(await store.listed(false)).not.toContain(child.digest);
      expect((await store.listed(true)).toSorted()).toEqual(
        [index.digest, referrer.digest].toSorted(),
      );
    });

    test("what is not there is not found", async () => {
      await store.writer.writeManifest(await writtenImage(), "v1", signal);
      const reader = await store.read();
      const absent = descriptorOf(Buffer.from("absent"));
      expect((await failureOf(reader.readManifest("v2", signal))).code).toBe("not_found");
      expect((await failureOf(reader.readManifest(absent.digest, signal))).code).toBe("not_found");
      const read = async () => bytesOf(await reader.blobSource(absent, signal), absent.size);
      expect((await failureOf(read())).code).toBe("not_found");
    });

    test("a cancelled write ends with the reason and leaves no blob behind", async () => {
      const stop = new AbortController();
      const reason = new Error("enough");
      const blob = blobOf(descriptorOf(large), {
        kind: "stream",
        open: async () =>
          new ReadableStream({
            pull(controller) {
              controller.enqueue(large.subarray(0, 100_000));
              stop.abort(reason);
            },
          }),
      });
      const error = await failureOf(store.writer.writeBlob(blob, { signal: stop.signal }));
      expect(error).toBe(reason as OcibundleError);
      expect(await store.writer.hasBlob(blob.descriptor, signal)).toBe(false);
    });

    test("nothing is begun after it was cancelled", async () => {
      const manifest = await writtenImage();
      await store.writer.writeManifest(manifest, "v1", signal);
      const reader = await store.read();
      const reason = new Error("enough");
      const aborted = AbortSignal.abort(reason);
      const [config] = [descriptorOf(Buffer.from("x"))];
      for (const attempt of [
        () => reader.readManifest("v1", aborted),
        () => reader.hasBlob(config, aborted),
        () => store.writer.hasBlob(config, aborted),
      ]) {
        expect(await failureOf(attempt())).toBe(reason as OcibundleError);
      }
    });
  });
}
