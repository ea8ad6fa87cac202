import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatRepository, type Reference } from "../../oci/reference.ts";
import { cosignTags } from "../../oci/referrers-tag.ts";
import type { Repository } from "../../registry/types.ts";
import { readRepository } from "../graph/repository-graph.ts";
import { cannotDelete, untag } from "../graph/untag.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import type { Removal } from "../../report/rm.ts";

/** What `rm` is asked for. */
export interface RemovalRequest {
  /** With a tag or a digest. */
  reference: string;
  /** The manifest, and not the tag alone. */
  digest: boolean;
  dryRun: boolean;
  /** Resolves to whether to go on; told of all that goes. */
  confirm: (removal: Removal) => Promise<boolean>;
}

/**
 * Deletes a tag, or a manifest with all its tags. Throws `usage`, `not_found`, `denied` where the registry
 * can't, `conflict` for a manifest that an index needs, for a tag that can't be deleted by itself, and for
 * one that moved meanwhile.
 */
export async function remove(job: JobContext, request: RemovalRequest): Promise<Removal> {
  const { reference, tag } = parseRegistryPlace(request.reference, "rm");
  checkNamed(request, reference, tag);
  const session = openSession(job);
  const { signal, emit } = session;
  const repository = session.repository(reference);
  const removal = await lookUp(session, request, reference, tag);
  const { name, digest, otherTags, neededBy } = removal;
  if (request.digest && neededBy.length > 0) {
    throw new OcibundleError(
      "conflict",
      `${name}@${digest} is needed by the index of ${listed(neededBy)}`,
      { hint: `delete ${neededBy.length === 1 ? "that tag" : "those tags"} first` },
    );
  }
  if (request.dryRun) return removal;
  if (!(await request.confirm(removal))) {
    throw new OcibundleError("usage", "not confirmed: nothing was deleted", {
      hint: "answer y to delete it, or add --yes",
    });
  }
  if (request.digest) {
    await deleteWhole(repository, removal, signal);
  } else if (tag !== undefined) {
    const keepManifest = neededBy.length > 0;
    const done = await untag(repository, {
      tag,
      digest,
      others: otherTags,
      keepManifest,
      signal,
      emit,
    });
    if (done.outcome === "unsupported") throw tagStays(removal, tag, done.reason);
    if (done.outcome === "moved") throw moved(`${name}:${tag}`, done.digest);
  }
  return { ...removal, action: "deleted" };
}

/** What is deleted must have been named: no default stands for a tag. */
function checkNamed(request: RemovalRequest, reference: Reference, tag: string | undefined): void {
  const name = formatRepository(reference);
  if (tag === undefined && reference.digest === undefined) {
    throw new OcibundleError("usage", `"${request.reference}" has no tag to delete`, {
      hint: `use a tag, such as ${name}:v1, or --digest with ${name}@sha256:…`,
    });
  }
  if (request.digest) return;
  if (tag === undefined) {
    throw new OcibundleError("usage", `"${request.reference}" is a manifest, not a tag`, {
      hint: "add --digest to delete the manifest and all its tags",
    });
  }
}

async function lookUp(
  session: Session,
  request: RemovalRequest,
  reference: Reference,
  tag: string | undefined,
): Promise<Removal> {
  const { signal, emit } = session;
  const name = formatRepository(reference);
  const repository = session.repository(reference);
  const target = tag ?? reference.digest ?? "";
  const found = await repository.headManifest(target, signal);
  if (found === undefined) {
    throw new OcibundleError(
      "not_found",
      `${name} has no ${tag === undefined ? `manifest ${target}` : `tag "${tag}"`}`,
      {
        hint: `run \`ocibundle ls ${name}\` for its tags`,
      },
    );
  }
  const { digest } = found;
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw moved(`${name}:${tag ?? ""}`, digest);
  }
  const graph = await readRepository(repository, session.originReader(reference), {
    signal,
    concurrency: session.flags.concurrency,
  });
  const unread = graph.tags.filter((one) => one.digest === null && one.error?.code !== "not_found");
  for (const one of unread) {
    const why = one.error?.message ?? "unknown";
    emit({ type: "warning", message: `tag "${one.tag}" cannot be read: ${why}` });
  }
  const faults = [...graph.broken.values()].filter(({ code }) => code !== "not_found");
  if (request.digest && (unread.length > 0 || faults.length > 0)) {
    throw new OcibundleError(
      "conflict",
      `${name}: not all manifests can be read, so it is unknown whether they need ${digest}`,
      { hint: "repair or delete the broken tags first", cause: faults[0] ?? unread[0]?.error },
    );
  }
  const needs = (root: Digest): boolean =>
    graph.nodes.get(root)?.children.some((child) => child === digest || needs(child)) ?? false;
  const warn = (message: string): void => emit({ type: "warning", message });
  const referrers = await repository.listReferrers(digest, undefined, signal, warn);
  const attachments = new Set(cosignTags(digest));
  return {
    action: "would-delete",
    what: request.digest ? "manifest" : "tag",
    name,
    tag: tag ?? null,
    digest,
    otherTags: graph.tags
      .filter((one) => one.digest === digest && one.tag !== tag)
      .map((one) => one.tag),
    neededBy: graph.tags
      .filter((one) => one.digest !== null && one.digest !== digest && needs(one.digest))
      .map((one) => one.tag),
    referrers: referrers.length + graph.tags.filter(({ tag: one }) => attachments.has(one)).length,
  };
}

async function deleteWhole(
  repository: Repository,
  { name, tag, digest }: Removal,
  signal: AbortSignal,
): Promise<void> {
  if (tag !== null) {
    const now = await repository.headManifest(tag, signal);
    if (now !== undefined && now.digest !== digest) throw moved(`${name}:${tag}`, now.digest);
  }
  const answer = await repository.deleteManifest(digest, signal);
  if (typeof answer === "object") throw cannotDelete(name, answer.unsupported);
}

/** The error for a tag that can't be deleted without others, or not at all. */
function tagStays(
  { name, digest, otherTags }: Removal,
  tag: string,
  reason: string,
): OcibundleError {
  const what = `${name}:${tag}: ${reason}`;
  if (otherTags.length === 0) {
    return new OcibundleError("denied", what, {
      hint: `run \`ocibundle rm --digest ${name}:${tag}\` to delete the manifest ${digest}; no other tag has it`,
    });
  }
  return new OcibundleError(
    "conflict",
    `${what}, and deleting the manifest would delete ${listed(otherTags)} as well`,
    {
      hint: `move the tag with \`ocibundle tag\`, or delete the manifest with all its tags: \`ocibundle rm --digest ${name}:${tag}\``,
    },
  );
}

const moved = (name: string, digest: Digest): OcibundleError =>
  new OcibundleError("conflict", `${name} now points to ${digest}; nothing was deleted`, {
    hint: "another client moved the tag: run `ocibundle ls` and try again",
  });

const shown = 10;

const listed = (tags: readonly string[]): string => {
  const first = tags.slice(0, shown).map((tag) => `"${tag}"`);
  return `${first.join(", ")}${tags.length > shown ? ` and ${tags.length - shown} more` : ""}`;
};
