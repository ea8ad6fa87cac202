import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { OcibundleError } from "../../../src/errors.ts";
import { openImage } from "../../../src/image/open.ts";
import { parseImageSource } from "../../../src/image/source/source.ts";
import type {
  ImageSource,
  KnownConfigs,
  KnownLayers,
  OpenImageOptions,
} from "../../../src/image/conversion/types.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { parseDocument } from "../../../src/oci/document.ts";
import { ImageManifestSchema } from "../../../src/oci/manifest.ts";
import { blobChunks } from "../../../src/store/blob-chunks.ts";
import type { TransferEvent } from "../../../src/transfer/events.ts";

const { signal } = new AbortController();

/** A directory of its own, with what `openImage` needs to know around it. */
export interface Workbench {
  directory: string;
  events: TransferEvent[];
  open(source: string, options?: Partial<OpenImageOptions>): Promise<ImageSource>;
  /** The names of temporary files and directories that are there now. */
  temporaries(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function workbench(env: OpenImageOptions["env"] = {}): Promise<Workbench> {
  const directory = await mkdtemp(join(tmpdir(), "ocibundle-source-"));
  const tempDir = join(directory, "temp");
  await mkdir(tempDir);
  const events: TransferEvent[] = [];
  return {
    directory,
    events,
    open: (source, options = {}) =>
      openImage(parseImageSource(source), {
        signal,
        env: { HOME: directory, ...env },
        cwd: directory,
        tempDir,
        registryReader: ({ host, repository }) => {
          throw new OcibundleError("not_found", `${host}/${repository}: no such repository`);
        },
        emit: (event) => events.push(event),
        ...options,
      }),
    temporaries: () => readdir(tempDir, { recursive: true }),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** What an image source gives in the end. */
export async function contentOf({ reader, root }: ImageSource) {
  const { config, layers } = parseDocument(root.bytes, ImageManifestSchema, "manifest");
  const read = async (descriptor: Descriptor): Promise<Buffer> => {
    const source = await reader.blobSource(descriptor, signal);
    const parts: Uint8Array[] = [];
    for await (const chunk of blobChunks(source, { start: 0, end: descriptor.size }, signal)) {
      parts.push(Uint8Array.from(chunk));
    }
    const bytes = Buffer.concat(parts);
    if (digestOf(bytes) !== descriptor.digest) throw new Error(`not ${descriptor.digest}`);
    return bytes;
  };
  const plain: Buffer[] = [];
  for (const layer of layers) plain.push(gunzipSync(await read(layer)));
  return { config: await read(config), layers: plain, descriptors: layers };
}

/** What a target is known to have, and what is recorded of it. */
export function memory(): {
  layers: Map<Digest, Descriptor>;
  configs: Map<Digest, Uint8Array>;
  knownLayers: KnownLayers;
  knownConfigs: KnownConfigs;
} {
  const layers = new Map<Digest, Descriptor>();
  const configs = new Map<Digest, Uint8Array>();
  return {
    layers,
    configs,
    knownLayers: {
      find: async (diffId) => layers.get(diffId),
      record: (diffId, descriptor) => void layers.set(diffId, descriptor),
    },
    knownConfigs: {
      find: async (digest) => configs.get(digest),
      record: async (digest, bytes) => void configs.set(digest, bytes),
    },
  };
}
