import type { Digest } from "../../oci/digest.ts";
import type { Repository } from "../../registry/types.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import type { PruneGraph } from "./prune-graph.ts";
import { keptBy } from "./prune-plan.ts";
import { cannotDelete, untag } from "./untag.ts";

interface Plan {
  graph: PruneGraph;
  remove: readonly { tag: string; digest: Digest }[];
  kept: ReadonlySet<Digest>;
  leaving: ReadonlySet<Digest>;
}

interface Deleting {
  signal: AbortSignal;
  emit: EmitEvent;
  /** Reads the repository again; told which manifests may have lost their tags. */
  look: (known: Iterable<Digest>) => Promise<PruneGraph>;
}

/** What pruning deleted, and what it left. */
export interface Deleted {
  /** Of the tags that were to go, those that stayed. */
  tags: Map<string, "moved" | "needed" | "unsupported">;
  manifests: Set<Digest>;
}

/**
 * Does what was planned: tags, then the manifests that had them, then what was below and what referred to
 * them. A push may run at the same time: each tag is looked up again right before it goes, and before the
 * first manifest goes the whole repository is, so that what a new index needs stays. Throws `denied` where
 * the registry deletes nothing, `network`.
 */
export async function deletePlanned(
  repository: Repository,
  plan: Plan,
  { signal, emit, look }: Deleting,
): Promise<Deleted> {
  const done: Deleted = { tags: new Map(), manifests: new Set() };
  if (plan.remove.length === 0) return done;
  // Where tags can't be deleted by themselves they go with their manifest.
  const withManifest: { tag: string; digest: Digest }[] = [];
  for (const { tag, digest } of plan.remove) {
    signal.throwIfAborted();
    const leaving = plan.remove.filter((one) => one.digest === digest).map((one) => one.tag);
    const others = new Set(leaving);
    const stay = [...plan.graph.tags].flatMap(([name, of]) =>
      of === digest && !others.has(name) ? [name] : [],
    );
    const keepManifest = plan.kept.has(digest);
    const answer = await untag(repository, {
      tag,
      digest,
      others: stay,
      keepManifest,
      signal,
      emit,
    });
    if (answer.outcome === "moved") {
      emit({ type: "warning", message: `tag "${tag}" moved to ${answer.digest}; it is kept` });
      done.tags.set(tag, "moved");
    } else if (answer.outcome === "unsupported") {
      if (keepManifest) done.tags.set(tag, "unsupported");
      else withManifest.push({ tag, digest });
    }
  }

  // What was pushed meanwhile counts: a manifest that anything needs now stays.
  const lookAgain = async (): Promise<{ graph: PruneGraph; kept: Set<Digest> }> => {
    const graph = await look(plan.leaving);
    return { graph, kept: keptNow(plan.graph, graph, withManifest) };
  };
  let now = await lookAgain();
  for (const digest of order(plan)) {
    signal.throwIfAborted();
    const own = withManifest.filter((one) => one.digest === digest);
    let moved = false;
    for (const { tag } of own) {
      const found = await repository.headManifest(tag, signal);
      if (found === undefined || found.digest === digest) continue;
      emit({ type: "warning", message: `tag "${tag}" moved to ${found.digest}; it is kept` });
      done.tags.set(tag, "moved");
      moved = true;
    }
    if (moved) now = await lookAgain();
    const names = new Set(own.map(({ tag }) => tag));
    if (now.kept.has(digest)) {
      for (const { tag } of own) if (!done.tags.has(tag)) done.tags.set(tag, "needed");
      continue;
    }
    // Some registries keep a manifest as long as it has a tag; those that delete no tags say so here as well.
    for (const [tag, of] of now.graph.tags) {
      if (of !== digest || names.has(tag)) continue;
      await untag(repository, { tag, digest, others: [], keepManifest: false, signal, emit });
    }
    const answer = await repository.deleteManifest(digest, signal);
    if (typeof answer === "object") throw cannotDelete(repository.fullName, answer.unsupported);
    done.manifests.add(digest);
  }
  return done;
}

/** All that the tags of now need, but for those that go with their manifest. */
function keptNow(
  before: PruneGraph,
  now: PruneGraph,
  going: readonly { tag: string; digest: Digest }[],
): Set<Digest> {
  const expected = new Map(going.map(({ tag, digest }) => [tag, digest]));
  const staying = now.versions.filter(({ tag, digest }) => expected.get(tag) !== digest);
  const roots = [...staying.map(({ digest }) => digest), ...now.strays];
  return keptBy(roots, new Map([...before.nodes, ...now.nodes]));
}

/**
 * Indexes before what they list, and what had a tag before what refers to it: what breaks off leaves no tag on a gap.
 */
function order({ remove, leaving, graph }: Plan): Digest[] {
  const ordered = new Set<Digest>();
  const visit = (digest: Digest): void => {
    if (ordered.has(digest) || !leaving.has(digest)) return;
    ordered.add(digest);
    graph.nodes.get(digest)?.children.forEach(visit);
  };
  for (const { digest } of remove) visit(digest);
  for (const digest of leaving) visit(digest);
  return [...ordered];
}
