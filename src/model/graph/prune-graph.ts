import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { Repository } from "../../registry/types.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { attachmentTags, type PruneNode } from "./prune-plan.ts";
import { isVersionTag, readRepository, type RepositoryGraph } from "./repository-graph.ts";
import { nodeOf, type RepositoryNode } from "./repository-node.ts";

/** What `prune` knows of a repository. */
export interface PruneGraph {
  /** Tags of versions. */
  versions: { tag: string; digest: Digest }[];
  /** All tags by their names, those of attachments as well. */
  tags: Map<string, Digest>;
  nodes: Map<Digest, RepositoryNode & PruneNode>;
  /** Manifests of attachment tags whose subject is unknown: nobody can tell what they are for, so they stay. */
  strays: Digest[];
}

interface Reading {
  signal: AbortSignal;
  concurrency: number | undefined;
  emit: EmitEvent;
}

/** Requests at once. */
const looksAtOnce = 16;

/**
 * Reads all tags of a repository and what is below them. Throws where something can't be read: what it needs
 * would be unknown. A tag that is gone by now needs nothing. `known`: manifests that lost their tags already,
 * and still own their attachments.
 */
export async function readPruneGraph(
  repository: Repository,
  reader: ContentReader,
  { signal, concurrency, emit }: Reading,
  known: Iterable<Digest> = [],
): Promise<PruneGraph> {
  const read = await readRepository(repository, reader, { signal, concurrency });
  for (const { tag, digest, error } of read.tags) {
    if (error === null || digest !== null) continue;
    if (error.code !== "not_found") throw unreadable(`tag "${tag}"`, reader.name, error);
    emit({ type: "warning", message: `tag "${tag}" is listed but does not exist: skipped` });
  }
  for (const [digest, error] of read.broken) {
    // Of a manifest that is read, only the config can't be: its date is unknown, and that keeps it.
    if (read.nodes.get(digest)?.config != null || error.code === "not_found") continue;
    throw unreadable(`manifest ${shortDigest(digest)}`, reader.name, error);
  }
  return graphOf(read, known);
}

const unreadable = (what: string, name: string, error: OcibundleError): OcibundleError =>
  new OcibundleError(error.code, `${name}: cannot read ${what}: ${error.message}`, {
    hint: "its dependencies are unknown, so nothing was deleted; repair it or delete it with `ocibundle rm`",
    cause: error,
  });

function graphOf({ tags, nodes }: RepositoryGraph, known: Iterable<Digest>): PruneGraph {
  const graph: PruneGraph = { versions: [], tags: new Map(), nodes: new Map(nodes), strays: [] };
  const owners = attachmentTags([...nodes.keys(), ...known]);
  for (const { tag, digest } of tags) {
    if (digest === null) continue;
    graph.tags.set(tag, digest);
    if (isVersionTag({ tag, digest }, nodes)) {
      graph.versions.push({ tag, digest });
      continue;
    }
    const owner = owners.get(tag);
    const node = graph.nodes.get(digest);
    if (owner === undefined || node === undefined) graph.strays.push(digest);
    else node.attachedTo = [...(node.attachedTo ?? []), owner];
  }
  return graph;
}

/** What refers to what refers to a manifest: real chains have two or three links. */
const maxDepth = 8;

/**
 * Adds what refers to manifests that may go, and to that in turn, so that it goes with them or keeps what it
 * needs. Lists that can't be read end it; a referrer that can't be read is left where it is, with a warning.
 */
export async function addReferrers(
  graph: PruneGraph,
  leaving: Iterable<Digest>,
  repository: Repository,
  { signal, concurrency = looksAtOnce, emit }: Reading,
): Promise<void> {
  const limit = pLimit(concurrency);
  const warn = (message: string): void => emit({ type: "warning", message });
  const asked = new Set<Digest>();
  let next = [...leaving];
  for (let depth = 0; next.length > 0 && depth < maxDepth; depth++) {
    const found: Digest[] = [];
    const look = async (digest: Digest): Promise<void> => {
      for (const entry of await repository.listReferrers(digest, undefined, signal, warn)) {
        if (asked.has(entry.digest)) continue;
        found.push(entry.digest);
        if (graph.nodes.has(entry.digest)) continue;
        const on = `${repository.fullName}: referrer ${shortDigest(entry.digest)}`;
        try {
          const node = nodeOf(await repository.getManifest(entry.digest, signal), on);
          // A list may name what does not refer to this at all.
          if (node.subject === digest) graph.nodes.set(entry.digest, node);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof OcibundleError)) throw error;
          if (error.code === "not_found") continue;
          emit({ type: "warning", message: `${on} cannot be read and is kept: ${error.message}` });
        }
      }
    };
    const fresh = next.filter((digest) => !asked.has(digest));
    for (const digest of fresh) asked.add(digest);
    await Promise.all(fresh.map((digest) => limit(look, digest)));
    next = found;
  }
}
