import type { LayoutName } from "../../../src/model/format/layout-name.ts";
import { layOut } from "../../../src/model/layout/layouts.ts";
import { readAllContents } from "../../../src/model/graph/weights-contents.ts";
import { openSession } from "../../../src/model/session/session.ts";
import type { ContentReader } from "../../../src/oci/content.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import type { RawManifest } from "../../../src/oci/manifest.ts";
import { blobChunks } from "../../../src/store/blob-chunks.ts";
import { tarEntries } from "../../../src/store/archive/entries.ts";
import { streamTarSource } from "../../../src/store/archive/source.ts";
import { jobIn } from "./job.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { manifestType, indexType } from "./media-types.ts";

const signal = new AbortController().signal;

interface ManifestJson {
  mediaType: string;
  artifactType?: string;
  config: Descriptor;
  layers: Descriptor[];
}

export const manifestJson = ({ bytes }: RawManifest): ManifestJson =>
  JSON.parse(new TextDecoder().decode(bytes));

const asDescriptor = ({ mediaType, digest, bytes }: RawManifest): Descriptor => ({
  mediaType,
  digest,
  size: bytes.byteLength,
});

/** Manifests and blobs in memory. */
export function memoryReader() {
  const bytesOf = new Map<Digest, Uint8Array>();
  const typeOf = new Map<Digest, string>();
  const blob = (content: string | Uint8Array, mediaType: string): Descriptor => {
    const bytes = new Uint8Array(Buffer.from(content));
    const digest = digestOf(bytes);
    bytesOf.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength };
  };
  const document = (members: object, mediaType: string): RawManifest => {
    const bytes = new TextEncoder().encode(
      JSON.stringify({ schemaVersion: 2, mediaType, ...members }),
    );
    const digest = digestOf(bytes);
    bytesOf.set(digest, bytes);
    typeOf.set(digest, mediaType);
    return { mediaType, digest, bytes };
  };
  const found = (digest: Digest): Uint8Array => {
    const bytes = bytesOf.get(digest);
    if (bytes === undefined) throw new Error(`no ${digest}`);
    return bytes;
  };
  const reader = {
    name: "memory",
    readManifest: (digest: Digest) =>
      Promise.resolve({ mediaType: typeOf.get(digest) ?? "", digest, bytes: found(digest) }),
    blobSource: ({ digest }: Descriptor) =>
      Promise.resolve({ kind: "bytes" as const, bytes: found(digest) }),
  } as unknown as ContentReader;
  return {
    blob,
    json: (value: unknown, mediaType: string) => blob(JSON.stringify(value), mediaType),
    manifest: (members: object) => asDescriptor(document(members, manifestType)),
    index: (manifests: readonly Descriptor[]) => document({ manifests }, indexType),
    descriptor: asDescriptor,
    root: (members: object) => document(members, manifestType),
    async contents(root: RawManifest) {
      return (await readAllContents(reader, root, signal)).map(({ format, entries, packed }) => ({
        format,
        entries,
        files: entries.map(({ dest }) => dest),
        packed: packed.files.map(({ dest }) => dest),
        tars: packed.tars.map(({ under }) => under),
      }));
    },
  };
}

/** What is found in a manifest. */
export async function listed(reader: ReturnType<typeof memoryReader>, members: object) {
  const [first] = await reader.contents(reader.root(members));
  if (first === undefined) throw new Error("nothing was found");
  return first;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const bytesByDigest = new Map<string, Uint8Array>();

/** The diff IDs that the config of an image says. */
export function digestsOfKind({ config }: ManifestJson): Promise<string[]> {
  const text = new TextDecoder().decode(bytesByDigest.get(config.digest));
  return Promise.resolve(JSON.parse(text).rootfs.diff_ids);
}

/** Files by their dests, laid out; every blob is made, and has to have its digest. */
export async function layoutOf(layout: LayoutName, files: Readonly<Record<string, string>>) {
  const { cache, emit } = openSession(jobIn(await temporaryDirectory()));
  const originals = Object.entries(files).map(([dest, content]) => {
    const bytes = new Uint8Array(Buffer.from(content));
    return {
      name: dest.slice(1),
      dest,
      digest: digestOf(bytes) as `sha256:${string}`,
      size: bytes.byteLength,
      source: () => Promise.resolve({ kind: "bytes" as const, bytes }),
    };
  });
  const laid = await layOut(layout, originals, { cache, signal, emit });
  for (const { descriptor, source } of laid.blobs) {
    const chunks: Uint8Array[] = [];
    const range = { start: 0, end: descriptor.size };
    for await (const chunk of blobChunks(await source(signal), range, signal)) {
      chunks.push(new Uint8Array(chunk));
    }
    const bytes = new Uint8Array(Buffer.concat(chunks));
    if (digestOf(bytes) !== descriptor.digest) throw new Error(`not ${descriptor.digest}`);
    bytesByDigest.set(descriptor.digest, bytes);
  }
  const manifests = [laid.root, ...laid.children]
    .filter(({ mediaType }) => mediaType === manifestType)
    .map(manifestJson);
  const text = new TextDecoder().decode(bytesByDigest.get(manifests[0]?.config.digest ?? ""));
  const entriesOf = async (
    digest: string = manifests[0]?.layers[0]?.digest ?? "",
  ): Promise<string[]> => {
    const names: string[] = [];
    const bytes = bytesByDigest.get(digest) ?? new Uint8Array(0);
    for await (const { type, name } of tarEntries(streamTarSource(chunksOf(bytes)), "a layer")) {
      if (type === "file") names.push(name);
    }
    return names;
  };
  return {
    ...laid,
    manifests,
    config: JSON.parse(text) as unknown,
    types: manifests.flatMap(({ layers }) => layers.map(({ mediaType }) => mediaType)),
    entriesOf,
  };
}
