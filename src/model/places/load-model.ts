import { OcibundleError } from "../../errors.ts";
import type { ImageSource } from "../../image/conversion/types.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import { ImageManifestSchema } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { isImageConfigType, isManifestType } from "../../oci/media-types.ts";
import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import {
  type BrokenEntry,
  type ContentGraph,
  type OnBroken,
  readGraph,
} from "../graph/content-graph.ts";
import { readImageConfig } from "../graph/image-entry.ts";
import type { Session } from "../session/session.ts";
import { parsePlace } from "./place.ts";
import { summarize } from "../graph/summary.ts";
import { readForeign } from "../graph/weights-contents.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { isWeightsManifest } from "../format/weights-artifact.ts";
import { parseAnyLock } from "../format/cog-lock.ts";
import type { ModelSummary } from "../../report/model.ts";

/** What a source holds: a lock, or a model that can be read. */
export type Loaded =
  | { kind: "lock"; name: string; created: string; files: WeightEntry[]; bytes: Uint8Array }
  | ({
      kind: "model";
      summary: ModelSummary;
      graph: ContentGraph;
      /** Its weights in other formats than the bundle's. */
      foreign: ReadonlyMap<Digest, WeightsContents>;
    } & AsyncDisposable &
      ImageSource);

/**
 * Opens a reference, a layout, an archive or a lock, and reads its manifests. The caller disposes of a
 * model. Manifests and weights that can't be read end it, unless `onBroken` is there, and told of the manifests.
 */
export async function loadSource(
  session: Session,
  text: string,
  onBroken?: OnBroken,
): Promise<Loaded> {
  const place = await parsePlace(session, text);
  if (place.kind === "lock") {
    const { bytes } = place;
    const { created, files } = parseAnyLock(bytes, text);
    return { kind: "lock", name: text, created, files, bytes };
  }
  const source = await place.open();
  try {
    const unread = new Set<Digest>();
    const noting =
      onBroken &&
      ((entry: BrokenEntry, error: OcibundleError): void => {
        if (entry.digest !== undefined && error.code !== "not_found") unread.add(entry.digest);
        onBroken(entry, error);
      });
    const graph = await readGraph(source.reader, source.root, session.signal, noting);
    const platform = await platformOfRoot(source, session.signal);
    const foreign = await readForeign(source.reader, graph, session.signal, (error) => {
      // Weights without their files are not weights without files.
      if (onBroken === undefined) throw error;
      session.emit({ type: "warning", message: `files not listed: ${error.message}` });
    });
    const context = { platform, foreign, blobs: graph.blobs, unread };
    const summary = summarize(graph.root, graph.children, source.name, context);
    const dispose = { [Symbol.asyncDispose]: () => source.close() };
    return { kind: "model", summary, graph, foreign, ...source, ...dispose };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The platform of an image without an index, as its config says it; null where that can't be read. */
export async function platformOfRoot(
  { reader, root }: Pick<ImageSource, "reader" | "root">,
  signal: AbortSignal,
): Promise<string | null> {
  if (!isManifestType(root.mediaType)) return null;
  // An artifact may have no config.
  if (membersOf(root, reader.name).config === undefined) return null;
  const manifest = parseManifest(root, ImageManifestSchema, reader.name);
  if (!isImageConfigType(manifest.config.mediaType) || isWeightsManifest(manifest)) return null;
  try {
    const config = await readImageConfig(reader, manifest, signal);
    return isKnownPlatform(config) ? formatPlatform(config) : null;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OcibundleError && error.code !== "network") return null;
    throw error;
  }
}
