import pLimit from "p-limit";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isAttachmentTag, referrersTag } from "../../oci/referrers-tag.ts";
import { isTag } from "../../oci/reference.ts";
import type { Repository } from "../../registry/types.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import { nodeOf, parseDate, type RepositoryNode } from "./repository-node.ts";

/** One tag of a repository: what it stands for, and what is wrong with it. */
export interface RepositoryTag {
  tag: string;
  /** Null where the tag itself can't be read. */
  digest: Digest | null;
  /** Why the tag, or something below it, can't be read; null where all is well. */
  error: OcibundleError | null;
}

/** The tags of a repository and every manifest below them. */
export interface RepositoryGraph {
  /** In the registry's order. */
  tags: RepositoryTag[];
  nodes: Map<Digest, RepositoryNode>;
  /** Manifests that can't be read, or whose config can't; those that are missing have `not_found`. */
  broken: Map<Digest, OcibundleError>;
}

/** How much of a repository is read, and how fast. */
export interface ReadRepositoryOptions {
  signal: AbortSignal;
  /** Requests at once; 16 when undefined. */
  concurrency: number | undefined;
  /** Only these tags; all of the repository when undefined. */
  tags?: readonly string[] | undefined;
}

/** Requests at once: small answers, whose time is mostly that of the way. */
const requestsAtOnce = 16;

/** A repository with more tags than this is not read: the graph is kept in memory. */
const maxTags = 50_000;

/** An index that lists more manifests than this is taken for broken, as in a model's graph. */
const maxEntries = 1000;

/** Nor are indexes followed deeper. */
const maxDepth = 4;

/**
 * Reads the manifests behind all tags of a repository, several at once, each once. A tag that can't be read
 * is listed with the reason and does not end it, and so is a manifest that lists too many. Throws `not_found` for a
 * repository that does not exist, and whatever keeps the list of tags from being read.
 */
export async function readRepository(
  repository: Repository,
  reader: ContentReader,
  { signal, concurrency = requestsAtOnce, tags: wanted }: ReadRepositoryOptions,
): Promise<RepositoryGraph> {
  const names = wanted ?? (await listTagNames(repository, signal));
  const limit = pLimit(concurrency);
  const nodes = new Map<Digest, RepositoryNode>();
  const broken = new Map<Digest, OcibundleError>();
  const reading = new Map<Digest, Promise<void>>();

  const add = async (raw: RawManifest, depth: number): Promise<void> => {
    const on = `${reader.name}: manifest ${shortDigest(raw.digest)}`;
    const node = nodeOf(raw, on);
    if (node.children.length > maxEntries) {
      throw new OcibundleError("file", `${on} lists more than ${maxEntries} manifests`);
    }
    if (node.children.length > 0 && depth === maxDepth) {
      throw new OcibundleError(
        "file",
        `${on}: indexes are nested more than ${maxDepth} levels deep`,
      );
    }
    nodes.set(node.digest, node);
    const belows = node.children.map((child) =>
      once(child, async () => {
        const below = await limit(() => reader.readManifest(child, signal));
        await add(below, depth + 1);
      }),
    );
    if (node.created === null) node.created = await limit(() => configDate(reader, node, signal));
    await Promise.all(belows);
    describeIndex(node, nodes);
  };

  /** Does the work for a digest once. What fails is noted as broken, and thrown is only an abort. */
  const once = (digest: Digest, work: () => Promise<void>): Promise<void> => {
    const known = reading.get(digest);
    if (known !== undefined) return known;
    const started = work().catch((error: unknown) => {
      broken.set(digest, typed(error, signal));
    });
    reading.set(digest, started);
    return started;
  };

  const readTag = async (tag: string): Promise<RepositoryTag> => {
    try {
      if (!isTag(tag))
        throw new OcibundleError("file", `${JSON.stringify(tag)} is not a valid tag`);
      const raw = await limit(() => reader.readManifest(tag, signal));
      await once(raw.digest, () => add(raw, 0));
      return { tag, digest: raw.digest, error: firstFault(raw.digest, { nodes, broken }) };
    } catch (error) {
      return { tag, digest: null, error: typed(error, signal) };
    }
  };

  return { tags: await Promise.all(names.map(readTag)), nodes, broken };
}

/** The tags of a repository, each once. Throws `not_found`, `file` where there are too many. */
export async function listTagNames(repository: Repository, signal: AbortSignal): Promise<string[]> {
  const names = new Set<string>();
  for await (const tag of repository.listTags(signal)) {
    names.add(tag);
    if (names.size > maxTags) {
      throw new OcibundleError("file", `${repository.fullName} has more than ${maxTags} tags`);
    }
  }
  return [...names];
}

/** An index with weights is a bundle, and it is as new as the newest image that it lists. */
function describeIndex(node: RepositoryNode, nodes: ReadonlyMap<Digest, RepositoryNode>): void {
  const children = node.children.map((digest) => nodes.get(digest));
  if (node.kind === "index" && children.some((child) => child?.kind === "weights")) {
    node.kind = "bundle";
  }
  if (node.created !== null) return;
  const dates = children.flatMap((child) => child?.created?.getTime() ?? []);
  if (dates.length > 0) node.created = new Date(Math.max(...dates));
}

const ConfigSchema = goObject({ created: v.optional(v.string()) });

/** When an image was made, as its config says. Throws what keeps the config from being read. */
async function configDate(
  reader: ContentReader,
  { config }: RepositoryNode,
  signal: AbortSignal,
): Promise<Date | null> {
  if (config === null) return null;
  const bytes = await readSmallBlob(reader, config, signal);
  const on = `${reader.name}: config ${shortDigest(config.digest)}`;
  return parseDate(parseDocument(bytes, ConfigSchema, on).created);
}

/** An error that is about one tag; anything else ends the run. */
function typed(error: unknown, signal: AbortSignal): OcibundleError {
  signal.throwIfAborted();
  if (error instanceof OcibundleError) return error;
  throw error;
}

/** What is wrong with a manifest or with one below it. */
function firstFault(
  digest: Digest,
  graph: Pick<RepositoryGraph, "nodes" | "broken">,
): OcibundleError | null {
  const own = graph.broken.get(digest);
  if (own !== undefined) return own;
  for (const child of graph.nodes.get(digest)?.children ?? []) {
    const fault = firstFault(child, graph);
    if (fault !== null) return fault;
  }
  return null;
}

/** The bytes of a manifest, all manifests below it, and their blobs, each by its digest. */
export function bytesBelow(
  root: Digest,
  { nodes }: Pick<RepositoryGraph, "nodes">,
): Map<Digest, number> {
  const sizes = new Map<Digest, number>();
  const visit = (digest: Digest): void => {
    const node = nodes.get(digest);
    if (node === undefined || sizes.has(digest)) return;
    sizes.set(digest, node.size);
    for (const [blob, size] of node.blobs) sizes.set(blob, size);
    node.children.forEach(visit);
  };
  visit(root);
  return sizes;
}

/**
 * Whether a tag stands for a version, and not for what is attached to one. An image that is tagged with its
 * own digest has the name of a list of referrers, and is none.
 */
export function isVersionTag(
  { tag, digest }: Pick<RepositoryTag, "tag" | "digest">,
  nodes: RepositoryGraph["nodes"],
): boolean {
  if (!isAttachmentTag(tag)) return true;
  if (isSuffixed(tag) || digest === null) return false;
  const kind = nodes.get(digest)?.kind;
  return (
    kind !== undefined && (referrersTag(digest) === tag || !["index", "bundle"].includes(kind))
  );
}

/** Whether a tag has one of cosign's suffixes. */
export const isSuffixed = (tag: string): boolean => isAttachmentTag(tag) && tag.includes(".");
