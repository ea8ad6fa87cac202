import type { Digest } from "../../oci/digest.ts";
import { cosignTags, referrersTags } from "../../oci/referrers-tag.ts";
import type { RepositoryNode } from "./repository-node.ts";
import type { KeepReason } from "../../report/prune.ts";

/** What a plan is made from: pure data, as read from a repository. */
export interface PruneInput {
  /** Tags that stand for versions, and what they point to. */
  tags: readonly { tag: string; digest: Digest }[];
  /** Every manifest that is known: those of tags, all below them, and what refers to what may go. */
  nodes: ReadonlyMap<Digest, PruneNode>;
}

/** A manifest of the repository, as far as pruning looks at it. */
export interface PruneNode extends Pick<RepositoryNode, "children" | "subject" | "created"> {
  /** What it belongs to by its tag (`sha256-<hex>.sig`), and not by its own word. */
  attachedTo?: readonly Digest[];
}

/** Which tags go: the flags of `prune`. */
export interface PruneRules {
  /** How many of the newest matching versions stay, whatever their age; 0 for none. */
  keepLast: number;
  /** Only what is older goes, in milliseconds; undefined: age does not matter. */
  olderThan: number | undefined;
  matches: (tag: string) => boolean;
  now: number;
}

/** Which tags go and which stay. */
export interface PruneChoice {
  /** Tags that the rules let go. */
  remove: { tag: string; digest: Digest }[];
  keep: { tag: string; digest: Digest; reason: KeepReason }[];
}

/**
 * Chooses tags by the rules. The newest are counted by manifest: two tags of one manifest are one version.
 * What has no date stays, since nobody knows its age.
 */
export function chooseTags({ tags, nodes }: PruneInput, rules: PruneRules): PruneChoice {
  const { keepLast, olderThan, matches, now } = rules;
  const dateOf = (digest: Digest): number | undefined => nodes.get(digest)?.created?.getTime();
  const matching = tags.filter(({ tag }) => matches(tag));
  const versions = [...new Set(matching.map(({ digest }) => digest))].flatMap((digest) => {
    const date = dateOf(digest);
    return date === undefined ? [] : [{ digest, date }];
  });
  versions.sort((a, b) => b.date - a.date || (a.digest < b.digest ? -1 : 1));
  const newest = new Set(versions.slice(0, keepLast).map(({ digest }) => digest));
  const choice: PruneChoice = { remove: [], keep: [] };
  for (const { tag, digest } of tags) {
    const date = dateOf(digest);
    const reason: KeepReason | undefined = !matches(tag)
      ? "no-match"
      : date === undefined
        ? "undated"
        : newest.has(digest)
          ? "newest"
          : olderThan !== undefined && now - date < olderThan
            ? "young"
            : undefined;
    if (reason === undefined) choice.remove.push({ tag, digest });
    else choice.keep.push({ tag, digest, reason });
  }
  return choice;
}

/** What refers to each manifest: by its `subject`, or by the tag that it has. */
function referrersIn(nodes: PruneInput["nodes"]): ReadonlyMap<Digest, readonly Digest[]> {
  const referrers = new Map<Digest, Digest[]>();
  for (const [digest, { subject, attachedTo = [] }] of nodes) {
    for (const one of subject === null ? attachedTo : [subject, ...attachedTo]) {
      const known = referrers.get(one);
      if (known === undefined) referrers.set(one, [digest]);
      else known.push(digest);
    }
  }
  return referrers;
}

/**
 * All that stays because of some manifests: what they list, what they refer to, and what refers to any of
 * that, over all levels. The result is closed: nothing in it needs anything that is not in it.
 */
export function keptBy(roots: Iterable<Digest>, nodes: PruneInput["nodes"]): Set<Digest> {
  const referrers = referrersIn(nodes);
  return closure(roots, (digest) => {
    const { children = [], subject = null } = nodes.get(digest) ?? {};
    const more = subject === null ? [] : [subject];
    return [...children, ...more, ...(referrers.get(digest) ?? [])];
  });
}

/** All that goes with some manifests, unless something else keeps it: what they list, and what refers to that. */
export function goesWith(
  roots: Iterable<Digest>,
  nodes: PruneInput["nodes"],
  kept: ReadonlySet<Digest>,
): Set<Digest> {
  const referrers = referrersIn(nodes);
  const leaving = [...roots].filter((digest) => !kept.has(digest));
  return closure(leaving, (digest) =>
    [...(nodes.get(digest)?.children ?? []), ...(referrers.get(digest) ?? [])].filter(
      (next) => !kept.has(next),
    ),
  );
}

function closure(roots: Iterable<Digest>, next: (digest: Digest) => Iterable<Digest>): Set<Digest> {
  const reached = new Set<Digest>();
  const left = [...roots];
  for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
    if (reached.has(digest)) continue;
    reached.add(digest);
    left.push(...next(digest));
  }
  return reached;
}

/** The tags under which attachments of manifests are kept, and whose they are. */
export const attachmentTags = (digests: Iterable<Digest>): Map<string, Digest> =>
  new Map(
    [...digests].flatMap((digest) =>
      [...referrersTags(digest), ...cosignTags(digest)].map((tag) => [tag, digest] as const),
    ),
  );
