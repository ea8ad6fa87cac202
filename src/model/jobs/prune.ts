import picomatch from "picomatch";
import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatRepository } from "../../oci/reference.ts";
import { deletePlanned } from "../graph/prune-delete.ts";
import { addReferrers, type PruneGraph, readPruneGraph } from "../graph/prune-graph.ts";
import { chooseTags, goesWith, keptBy, type PruneRules } from "../graph/prune-plan.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { KeepReason, RepositoryPruning } from "../../report/prune.ts";

/** Which tags of a repository go. */
export interface PruneRequest {
  /** Without a tag or digest. */
  repository: string;
  /** How many of the newest stay, whatever their age. */
  keepLast: number | undefined;
  /** In milliseconds. */
  olderThan: number | undefined;
  /** Globs of tags; all tags when empty. */
  match: readonly string[];
  dryRun: boolean;
}

/**
 * Deletes old versions from a repository, with the manifests and referrers that nothing else needs. Throws
 * `usage`, `not_found`, `denied` where the registry deletes nothing, and whatever keeps it from being read.
 */
export async function pruneRepository(
  job: JobContext,
  request: PruneRequest,
): Promise<RepositoryPruning> {
  const started = performance.now();
  const { reference, tag } = parseRegistryPlace(request.repository, "prune");
  if (tag !== undefined || reference.digest !== undefined) {
    throw new OcibundleError(
      "usage",
      `"${request.repository}" is not a repository: it has a tag or digest`,
      {
        hint: "use the repository name, and select tags with --match",
      },
    );
  }
  const rules = rulesOf(request);
  const session = openSession(job);
  const { signal, emit } = session;
  const repository = session.repository(reference);
  const name = formatRepository(reference);
  const reading = { signal, emit, concurrency: session.flags.concurrency };
  const reader = session.originReader(reference);
  const look = (known: Iterable<Digest> = []): Promise<PruneGraph> =>
    readPruneGraph(repository, reader, reading, known);

  const graph = await look();
  const plan = await planOf(graph, rules, (leaving) =>
    addReferrers(graph, leaving, repository, reading),
  );
  if (request.match.length > 0 && !graph.versions.some(({ tag: one }) => rules.matches(one))) {
    emit({ type: "warning", message: `${name}: no tag matches --match` });
  }
  const undated = plan.keep.filter(({ reason }) => reason === "undated").length;
  if (undated > 0) {
    const wayOut = "push with --annotation org.opencontainers.image.created=TIME to date them";
    emit({ type: "warning", message: `tags without a date are kept: ${undated}; ${wayOut}` });
  }
  const done = request.dryRun
    ? undefined
    : await deletePlanned(repository, plan, { signal, emit, look });
  const tags = [
    ...plan.keep.map((kept) => ({ ...kept, outcome: "kept" as const })),
    ...plan.remove.map(({ tag: removed, digest }) => {
      const kept = done?.tags.get(removed);
      const outcome = kept === undefined ? (request.dryRun ? "would-delete" : "deleted") : "kept";
      return { tag: removed, digest, outcome, reason: kept ?? null } as const;
    }),
  ].map((one) => ({
    tag: one.tag,
    digest: one.digest,
    created: plan.graph.nodes.get(one.digest)?.created?.toISOString() ?? null,
    outcome: one.outcome,
    reason: one.reason,
  }));
  const tagged = new Set(plan.remove.map(({ digest }) => digest));
  const gone = done?.manifests ?? plan.leaving;
  return {
    name,
    dryRun: request.dryRun,
    tags: tags.toSorted((a, b) => (a.tag < b.tag ? -1 : Number(a.tag > b.tag))),
    manifests: [...plan.leaving]
      .filter((digest) => !tagged.has(digest))
      .map((digest) => ({
        digest,
        outcome: request.dryRun ? "would-delete" : gone.has(digest) ? "deleted" : "kept",
      })),
    freed: freedBytes(plan.graph, gone),
    milliseconds: performance.now() - started,
  };
}

/** What is to be done, and what it was decided from. */
export interface PrunePlan {
  graph: PruneGraph;
  remove: { tag: string; digest: Digest }[];
  keep: { tag: string; digest: Digest; reason: KeepReason }[];
  /** Manifests that stay. */
  kept: Set<Digest>;
  /** Manifests that go. */
  leaving: Set<Digest>;
}

async function planOf(
  graph: PruneGraph,
  rules: PruneRules,
  learn: (leaving: Iterable<Digest>) => Promise<void>,
): Promise<PrunePlan> {
  const { nodes, versions } = graph;
  const { remove, keep } = chooseTags({ tags: versions, nodes }, rules);
  const roots = remove.map(({ digest }) => digest);
  const stay = [...keep.map(({ digest }) => digest), ...graph.strays];
  await learn(goesWith(roots, nodes, keptBy(stay, nodes)));
  const kept = keptBy(stay, nodes);
  return { graph, remove, keep, kept, leaving: goesWith(roots, nodes, kept) };
}

function rulesOf({ keepLast, olderThan, match }: PruneRequest): PruneRules {
  if (keepLast === undefined && olderThan === undefined) {
    throw new OcibundleError("usage", "prune needs --keep-last or --older-than", {
      hint: "--keep-last 0 deletes every tag that --match selects",
    });
  }
  if (match.some((glob) => glob.trim() === "")) {
    throw new OcibundleError("usage", "--match: the pattern is empty", {
      hint: 'specify a pattern, such as --match "v1.*"',
    });
  }
  const matchers = match.map((glob) => picomatch(glob, { dot: true }));
  return {
    keepLast: keepLast ?? 0,
    olderThan,
    matches: (tag) => matchers.length === 0 || matchers.some((matches) => matches(tag)),
    now: Date.now(),
  };
}

/** The bytes that only what goes has, each blob once. */
function freedBytes({ nodes }: PruneGraph, gone: ReadonlySet<Digest>): number {
  const left = new Set<Digest>();
  const freed = new Map<Digest, number>();
  for (const [digest, node] of nodes) {
    if (!gone.has(digest)) for (const blob of node.blobs.keys()) left.add(blob);
  }
  for (const digest of gone) {
    const node = nodes.get(digest);
    if (node === undefined) continue;
    freed.set(digest, node.size);
    for (const [blob, size] of node.blobs) if (!left.has(blob)) freed.set(blob, size);
  }
  return [...freed.values()].reduce((sum, size) => sum + size, 0);
}

/** The error that a run ends with where tags stay that should have gone. */
export function pruningFailure({ name, tags }: RepositoryPruning): OcibundleError | undefined {
  const stuck = tags.filter(({ reason }) => reason === "unsupported").length;
  if (stuck === 0) return undefined;
  return new OcibundleError(
    "denied",
    `${name}: the registry cannot delete ${stuck} tags without manifests that are still needed`,
    {
      hint: "move these tags with `ocibundle tag`, or first delete the tags that need the manifests",
    },
  );
}
