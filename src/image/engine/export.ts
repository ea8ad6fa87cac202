import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { maxManifestBytes } from "../../oci/document.ts";
import { compressionOf, followLinks, warnOfTwice } from "../../store/archive/archive.ts";
import { tarEntries, type TarEntry } from "../../store/archive/entries.ts";
import { type StreamTarSource, streamTarSource } from "../../store/archive/source.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import type { Layer } from "../conversion/layer.ts";
import {
  lookAtHead,
  type OpenedLayer,
  writeFile,
  writeLayer,
} from "../conversion/layer-content.ts";
import { layerProgress } from "../conversion/progress.ts";
import type { TempDirectory } from "../conversion/temp-directory.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** What an entry of an export was taken as. */
type Content =
  | { kind: "document"; bytes: Uint8Array }
  | { kind: "layer"; layer: Promise<Layer> }
  /** Of no use here: versions, lists of names. */
  | { kind: "other" };

const other: Content = { kind: "other" };

/** An export that has passed by: its documents, and its layers as they are to be pushed. */
export interface TakenExport {
  /** What a name of `manifest.json` stands for; undefined when it is missing. Links are followed. */
  find(name: string): Content | undefined;
}

/** What is known of an image before its export arrives. */
export interface ExportOptions {
  /** The engine's image, for messages. */
  name: string;
  /** The diff IDs of the image's layers, by the engine's word. */
  diffIds: ReadonlySet<Digest>;
  /** Layers that the target has, by diff ID. */
  known: ReadonlyMap<Digest, Layer>;
  /** Gets the compressed layers. */
  temp: TempDirectory;
  signal: AbortSignal;
  emit: EmitEvent | undefined;
}

/**
 * Takes an image out of an engine's export while it arrives: one tar archive, read once.
 *
 * Layers are compressed as they pass, so that only what will be pushed lies on the disk. Those that the
 * target has are passed over where their name tells (Docker since 25, Podman). Older exports name them
 * by other IDs: where some layers are known, theirs are kept as they are until their end tells their
 * diff ID, and compressed while the next one arrives.
 *
 * Throws `file` for an export that is no archive of an image.
 */
export async function takeExport(
  body: AsyncIterable<Uint8Array>,
  options: ExportOptions,
): Promise<TakenExport> {
  const { name } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const source = streamTarSource(body);
  const taken = new Map<string, TarEntry & { content: Content }>();
  const twice = new Set<string>();
  const take = entryTaker(source, { ...options, signal });
  try {
    for await (const entry of tarEntries(source, name)) {
      signal.throwIfAborted();
      if (entry.type === "directory") continue;
      if (taken.has(entry.name)) twice.add(entry.name);
      const content: Content = entry.type === "file" ? await take(entry) : other;
      taken.set(entry.name, { ...entry, content });
    }
    await Promise.all(layersOf(taken));
    warnOfTwice(twice, name, options.emit);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(layersOf(taken));
    throw error;
  } finally {
    // A connection that is left open with bytes to come would keep the process alive.
    await source.close();
  }
  return { find: (file) => followLinks(taken, file, name)?.content };
}

const layersOf = (taken: ReadonlyMap<string, { content: Content }>): Promise<Layer>[] =>
  [...taken.values()].flatMap(({ content }) => (content.kind === "layer" ? [content.layer] : []));

/** An export has two documents that are of use, manifest.json and a config: more are none of one image. */
const maxDocumentBytes = 2 * maxManifestBytes;

function entryTaker(source: StreamTarSource, options: ExportOptions) {
  const { known, diffIds, name, temp, signal, emit } = options;
  const byBlob = new Map([...known.values()].map((layer) => [layer.descriptor.digest, layer]));
  const compressing = pLimit(1);
  let documentBytes = 0;

  const readDocument = async (
    entry: TarEntry,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Content> => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
    const bytes = Buffer.concat(parts);
    // Indexes, manifests, attestations with lists of thousands of packages: none is a config.
    if (digestInName(entry.name) !== undefined && !bytes.includes('"diff_ids"')) return other;
    documentBytes += bytes.byteLength;
    if (documentBytes > maxDocumentBytes) {
      throw new OcibundleError("file", `${name}: more than ${maxDocumentBytes} bytes of documents`);
    }
    return { kind: "document", bytes };
  };

  /** Keeps a layer as it is, and compresses it in the background once it turns out not to be known. */
  const spool = async (opened: OpenedLayer, on: string): Promise<{ layer: Promise<Layer> }> => {
    const spooled = await temp.newFile();
    const hash = createHash("sha256");
    const size = await writeFile(spooled, async (write) => {
      let written = 0;
      for await (const chunk of opened.chunks) {
        hash.update(chunk);
        await write(chunk);
        written += chunk.byteLength;
      }
      return written;
    });
    const layer = known.get(`sha256:${hash.digest("hex")}`);
    if (layer !== undefined) {
      await rm(spooled);
      return { layer: Promise.resolve(layer) };
    }
    const compressed = compressing(async () => {
      const again = await lookAtHead(fileChunks(spooled, 0, size, signal));
      const written = await writeLayer(again, await temp.newFile(), on);
      await rm(spooled);
      return written;
    });
    // Awaited when everything has arrived; until then a failure must not count as unhandled.
    compressed.catch(() => undefined);
    return { layer: compressed };
  };

  return async (entry: TarEntry): Promise<Content> => {
    const digest = digestInName(entry.name);
    const passedOver = digest && (known.get(digest) ?? byBlob.get(digest));
    if (passedOver) {
      emit?.({ type: "detail", message: `layer ${passedOver.diffId}: up to date` });
      return { kind: "layer", layer: Promise.resolve(passedOver) };
    }
    const mayBeLayer = digest !== undefined || entry.name.endsWith(".tar");
    const mayBeDocument =
      entry.size <= maxManifestBytes &&
      (entry.name.endsWith(".json") || (digest !== undefined && !diffIds.has(digest)));
    if (!mayBeLayer && !mayBeDocument) return other;

    const opened = await lookAtHead(source.chunks(entry.size));
    if (mayBeDocument && (!mayBeLayer || isDocument(opened.head))) {
      return readDocument(entry, opened.chunks);
    }
    const on = `${name}: layer "${entry.name}"`;
    const progress = layerProgress(emit, "export", digest ?? entry.name, entry.size);
    const passing = { head: opened.head, chunks: progress.through(opened.chunks) };
    const mayBeKnown =
      known.size > 0 &&
      compressionOf(opened.head) === undefined &&
      (digest === undefined || !diffIds.has(digest));
    // The next entry begins where this one has been read to its end.
    const { layer } = mayBeKnown
      ? await spool(passing, on)
      : { layer: Promise.resolve(await writeLayer(passing, await temp.newFile(), on)) };
    progress.done();
    return { kind: "layer", layer };
  };
}

/** The digest an entry is named by: `blobs/sha256/<hex>` (Docker since 25), `<hex>.tar` (Podman, skopeo). */
function digestInName(name: string): Digest | undefined {
  const hex = /^(?:blobs\/sha256\/([0-9a-f]{64})|([0-9a-f]{64})\.tar)$/.exec(name);
  const digest = `sha256:${hex?.[1] ?? hex?.[2]}`;
  return isDigest(digest) ? digest : undefined;
}

const magicOffset = 257;

/** Whether something begins like a JSON document, and not like a tar file with such a name in it. */
const isDocument = (head: Uint8Array): boolean =>
  (head[0] === 0x7b || head[0] === 0x5b) &&
  new TextDecoder().decode(head.subarray(magicOffset, magicOffset + 5)) !== "ustar";
