import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader, ContentWriter } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import { type RawManifest, SubjectSchema } from "../../oci/manifest.ts";
import { cosignTags } from "../../oci/referrers-tag.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { type ContentGraph, readGraph } from "./content-graph.ts";
import { readChild } from "./read-child.ts";

/** What refers to what refers to a model: signatures of SBOMs. Real chains have two or three links. */
const maxDepth = 8;

/** All that refers to a model, over all levels. */
const maxReferrers = 2000;

/** The manifests of all that, in bytes. */
const maxManifestBytes = 64 * 1024 * 1024;

/** Something that belongs to a model and is not below it. */
export interface Referrer {
  graph: ContentGraph;
  /** The manifest that it refers to. */
  subject: Digest;
  /** Set where it is found by its tag and not by its `subject`. */
  tag: string | undefined;
}

interface Options {
  signal: AbortSignal;
  emit: EmitEvent;
  /** Told of a referrer that can't be read, which is left out then; without it such a one ends the run. */
  onBroken?: (entry: { digest: Digest; subject: Digest }, error: OcibundleError) => void;
}

/**
 * Everything that refers to a graph's manifests, and to that in turn: by `subject`, or by one of cosign's
 * tags. Each is read when it is asked for. Throws `file` where there is more than a real model has, and
 * whatever a list that can't be read throws: what could not be looked up is not none.
 */
export async function* referrersOf(
  reader: ContentReader,
  graph: ContentGraph,
  { signal, emit, onBroken }: Options,
): AsyncGenerator<Referrer, void, undefined> {
  const seen = new Set<Digest>([...graph.children, graph.root].map(({ digest }) => digest));
  const subjects = [...seen].map((digest) => ({ digest, depth: 0 }));
  let bytes = 0;
  const tooMany = (what: string): OcibundleError =>
    new OcibundleError("file", `${reader.name}: ${what}`, {
      hint: "delete unneeded referrers",
    });
  const warn = (message: string): void => emit({ type: "warning", message });

  for (let subject = subjects.shift(); subject !== undefined; subject = subjects.shift()) {
    const { digest, depth } = subject;
    const [listed, tagged] = await Promise.all([
      reader.listReferrers?.(digest, signal, warn) ?? [],
      Promise.all(cosignTags(digest).map((tag) => readTag(reader, tag, signal))),
    ]);
    const found = [
      ...listed.map((entry) => ({ entry, tag: undefined, manifest: undefined })),
      ...tagged.flatMap((one) => (one === undefined ? [] : [{ entry: undefined, ...one }])),
    ];
    for (const { entry, tag, manifest: known } of found) {
      const id = known?.digest ?? entry?.digest;
      if (id === undefined || seen.has(id)) continue;
      if (depth === maxDepth) {
        throw tooMany(`referrers are nested more than ${maxDepth} levels deep`);
      }
      let referrer: ContentGraph;
      try {
        const manifest = known ?? (await readReferrer(reader, entry, digest, signal, warn));
        if (manifest === undefined) continue;
        referrer = await readGraph(reader, manifest, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (onBroken === undefined || !(error instanceof OcibundleError)) throw error;
        seen.add(id);
        onBroken({ digest: id, subject: digest }, error);
        continue;
      }
      seen.add(id);
      for (const one of [...referrer.children, referrer.root]) bytes += one.bytes.byteLength;
      const count = seen.size - graph.children.length - 1;
      if (count > maxReferrers) throw tooMany(`more than ${maxReferrers} referrers`);
      if (bytes > maxManifestBytes) {
        throw tooMany(`the manifests of referrers have more than ${maxManifestBytes} bytes`);
      }
      yield { graph: referrer, subject: digest, tag };
      subjects.push({ digest: id, depth: depth + 1 });
    }
  }
}

const AboutSchema = goObject({ subject: v.optional(SubjectSchema) });

/** A listed referrer, or undefined with a warning for one that is gone or refers to something else. */
async function readReferrer(
  reader: ContentReader,
  entry: Descriptor | undefined,
  subject: Digest,
  signal: AbortSignal,
  warn: (message: string) => void,
): Promise<RawManifest | undefined> {
  if (entry === undefined) return undefined;
  const on = `${reader.name}: referrer ${shortDigest(entry.digest)}`;
  let manifest: RawManifest;
  try {
    manifest = await readChild(reader, entry, signal);
  } catch (error) {
    if (!(error instanceof OcibundleError) || error.code !== "not_found") throw error;
    warn(`${on} is listed but does not exist: skipped`);
    return undefined;
  }
  const refersTo = parseDocument(manifest.bytes, AboutSchema, on).subject?.digest;
  if (refersTo === subject) return manifest;
  warn(`${on} is listed for ${shortDigest(subject)} but does not refer to it: skipped`);
  return undefined;
}

async function readTag(
  reader: ContentReader,
  tag: string,
  signal: AbortSignal,
): Promise<{ tag: string; manifest: RawManifest } | undefined> {
  try {
    return { tag, manifest: await reader.readManifest(tag, signal) };
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "not_found") return undefined;
    throw error;
  }
}

const LayersSchema = v.looseObject({
  layers: v.nullish(v.array(v.looseObject({ digest: v.string() }))),
});

/**
 * Sees that a tag at the target may move to a manifest: cosign adds a layer for each signature, and those
 * that only the target has must not be lost. Throws `conflict`.
 */
export async function checkAttachmentTag(
  target: ContentWriter,
  tag: string,
  manifest: RawManifest,
  signal: AbortSignal,
): Promise<void> {
  const there = await target.readTag?.(tag, signal);
  if (there === undefined || there.digest === manifest.digest) return;
  const layersOf = ({ bytes }: RawManifest): string[] =>
    (parseDocument(bytes, LayersSchema, `${target.name}: ${tag}`).layers ?? []).map(
      ({ digest }) => digest,
    );
  const ours = new Set(layersOf(manifest));
  const theirs = layersOf(there);
  if (theirs.length > 0 && theirs.every((digest) => ours.has(digest))) return;
  throw new OcibundleError(
    "conflict",
    `${target.name}: tag "${tag}" has signatures or attestations that the source does not have`,
    { hint: "remove the tag at the target, or copy without --referrers" },
  );
}
