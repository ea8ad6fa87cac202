import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatRepository } from "../../oci/reference.ts";
import { cosignTags } from "../../oci/referrers-tag.ts";
import type { Repository } from "../../registry/types.ts";
import { kindOfReferrer } from "../graph/referrer-kind.ts";
import {
  bytesBelow,
  isSuffixed,
  isVersionTag,
  listTagNames,
  readRepository,
  type RepositoryGraph,
} from "../graph/repository-graph.ts";
import { parseRegistryHost, parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { Listing, TagListing } from "../../report/ls.ts";

/** Requests for lists of referrers at once. */
const looksAtOnce = 16;

/**
 * Lists the tags of a repository, one tag of it, or the repositories of a registry. Broken tags are listed
 * as such, with a warning. Throws `not_found`, `denied`, `network`, `usage`.
 */
export async function listRegistry(job: JobContext, text: string): Promise<Listing> {
  const session = openSession(job);
  const host = parseRegistryHost(text);
  if (host !== undefined) {
    const repositories = new Set<string>();
    for await (const name of session.registry(host).listRepositories(session.signal)) {
      repositories.add(name);
    }
    return { name: host, repositories: [...repositories] };
  }
  const { reference, tag: wanted } = parseRegistryPlace(text, "ls");
  const repository = session.repository(reference);
  const name = formatRepository(reference);
  const names = await listTagNames(repository, session.signal);
  const graph = await readRepository(repository, session.originReader(reference), {
    signal: session.signal,
    concurrency: session.flags.concurrency,
    tags: names.filter((tag) => tag === wanted || !isSuffixed(tag)),
  });
  const versions = graph.tags.filter((tag) => tag.tag === wanted || isVersionTag(tag, graph.nodes));
  const { digest: wantedDigest } = reference;
  const chosen = versions.filter(
    ({ tag, digest }) =>
      (wanted === undefined || tag === wanted) &&
      (wantedDigest === undefined || digest === wantedDigest),
  );
  if (chosen.length === 0 && (wanted !== undefined || wantedDigest !== undefined)) {
    const what = wanted === undefined ? `tag of ${wantedDigest}` : `tag "${wanted}"`;
    throw new OcibundleError("not_found", `${name} has no ${what}`, {
      hint: `run \`ocibundle ls ${name}\` for its tags`,
    });
  }
  const signed = await signatures(repository, chosen, names, job);
  const { owners, sizes, total } = shares(graph, versions);
  const tags = chosen.map(({ tag, digest, error }): TagListing => {
    if (error !== null) {
      job.emit({ type: "warning", message: `tag "${tag}" is broken: ${error.message}` });
    }
    const node = digest === null ? undefined : graph.nodes.get(digest);
    const below = digest === null || node === undefined ? undefined : sizes.get(digest);
    const size = below === undefined ? null : sum(below.values());
    const own =
      below === undefined || digest === null
        ? null
        : sum([...below].flatMap(([blob, bytes]) => (owners.get(blob) === 1 ? [bytes] : [])));
    return {
      tag,
      digest,
      kind: node?.kind ?? null,
      format: node?.format ?? null,
      size,
      own,
      shared: size === null || own === null ? null : size - own,
      created: node?.created?.toISOString() ?? null,
      signed: digest === null ? null : (signed.get(digest) ?? null),
      error: error === null ? null : { code: error.code, message: error.message },
    };
  });
  return { name, tags, size: total, attachments: names.length - versions.length };
}

/** How many tags have each blob, what each manifest comes to, and all of it together. */
function shares(
  graph: RepositoryGraph,
  tags: RepositoryGraph["tags"],
): {
  owners: Map<Digest, number>;
  sizes: Map<Digest, Map<Digest, number>>;
  total: number;
} {
  const owners = new Map<Digest, number>();
  const sizes = new Map<Digest, Map<Digest, number>>();
  const all = new Map<Digest, number>();
  for (const { digest } of tags) {
    if (digest === null) continue;
    const below = sizes.get(digest) ?? bytesBelow(digest, graph);
    sizes.set(digest, below);
    for (const [blob, size] of below) {
      owners.set(blob, (owners.get(blob) ?? 0) + 1);
      all.set(blob, size);
    }
  }
  return { owners, sizes, total: sum(all.values()) };
}

/** Which of the manifests a signature refers to. What could not be found out is missing, with a warning. */
async function signatures(
  repository: Repository,
  tags: RepositoryGraph["tags"],
  names: readonly string[],
  { signal, emit }: JobContext,
): Promise<Map<Digest, boolean>> {
  const there = new Set(names);
  const limit = pLimit(looksAtOnce);
  const signed = new Map<Digest, boolean>();
  const digests = [...new Set(tags.flatMap(({ digest }) => digest ?? []))];
  let failure: OcibundleError | undefined;
  const warn = (message: string): void => emit({ type: "warning", message });
  const look = async (digest: Digest): Promise<void> => {
    try {
      const byTag = cosignTags(digest).some((tag) => tag.endsWith(".sig") && there.has(tag));
      const listed = byTag ? [] : await repository.listReferrers(digest, undefined, signal, warn);
      signed.set(digest, byTag || listed.some((entry) => kindOfReferrer(entry) === "signature"));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError)) throw error;
      failure ??= error;
    }
  };
  await Promise.all(digests.map((digest) => limit(look, digest)));
  if (failure !== undefined) {
    emit({ type: "warning", message: `cannot look up all signatures: ${failure.message}` });
  }
  return signed;
}

/** The error that a listing with broken tags ends with, or undefined where all tags are well. */
export function listingFailure(listing: Listing): OcibundleError | undefined {
  if ("repositories" in listing) return undefined;
  const broken = listing.tags.flatMap(({ error }) => (error === null ? [] : [error.code]));
  const unknown = listing.tags.filter(({ error, signed }) => error === null && signed === null);
  if (broken.length === 0 && unknown.length === 0) return undefined;
  if (broken.length === 0) {
    const message = `${listing.name}: signatures of ${unknown.length} tags could not be looked up`;
    return new OcibundleError("network", message);
  }
  const code = (["denied", "network"] as const).find((one) => broken.includes(one)) ?? "integrity";
  return new OcibundleError(
    code,
    `${listing.name}: ${broken.length} of ${listing.tags.length} tags cannot be read`,
  );
}

const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
};
