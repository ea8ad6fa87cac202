import { join, resolve } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import type { Problem, VerifyReport } from "../../report/verify.ts";
import { unreadableBecause } from "../../runtime/file-faults.ts";
import { readDocument } from "../../runtime/read-document.ts";
import { loadSource } from "../places/load-model.ts";
import { parsePlace } from "../places/place.ts";
import { contentsToPull } from "../pull/contents-to-pull.ts";
import { hubPaths, snapshotOf } from "../pull/hub-cache.ts";
import { hubModelDirectory } from "../pull/hub-model-directory.ts";
import { selectEntries } from "../pull/pull-plan.ts";
import { type JobContext, openSession } from "../session/session.ts";
import { extraFiles } from "./extra-files.ts";
import { fileItem, weightsOf } from "./verify.ts";
import { verifySubject } from "./verify-subject.ts";

/** Which files in a cache of huggingface_hub are verified, and how thoroughly. */
export interface VerifyHubCacheRequest {
  /** A reference, layout or archive. */
  source: string;
  /** `ORG/MODEL`: what the model is called in the cache. */
  hubId: string;
  /** The cache; that of this user where it is not named. */
  dir: string | undefined;
  only: readonly string[];
  quick: boolean;
}

/**
 * Holds a snapshot in the cache of huggingface_hub against the model that it is of, as `pull --hf-cache` wrote it: its
 * files through their links, others in it, and what the tag stands for. Never throws for what differs; throws `usage`
 * for a lock, which is no revision.
 */
export async function verifyHubCache(
  job: JobContext,
  { source, hubId, dir: named, only, quick }: VerifyHubCacheRequest,
): Promise<VerifyReport> {
  const session = openSession(job);
  const dir = resolve(job.cwd, hubModelDirectory(hubId, named, job));
  const place = await parsePlace(session, source);
  const loaded = place.kind === "lock" ? undefined : await loadSource(session, source);
  if (place.kind === "lock" || loaded?.kind !== "model") {
    throw new OcibundleError("usage", `"${source}" is a lock, which does not name a revision`, {
      hint: "specify the model that was pulled, such as registry.example.com/acme/llama:v1",
    });
  }
  await using model = loaded;
  const { name } = model;
  const entries = weightsOf(model);
  const { digest } = await contentsToPull(model, undefined, session);
  const { tag } = place;
  const { commit, snapshot } = snapshotOf(dir, { id: hubId, tag, digest, entries });
  const paths = hubPaths(entries);
  const pathOf = (path = ""): string => join(snapshot, ...path.split("/"));
  const items = selectEntries(entries, only).map((entry) =>
    fileItem(entry, pathOf(paths.get(entry))),
  );
  const broken = tag === undefined ? [] : await wrongRevision(join(dir, "refs", tag), commit);
  const names = Array.from(paths.values(), pathOf);
  const extra = () => extraFiles(dir, names);
  return await verifySubject(session, { name, items, broken }, { dir, quick, extra });
}

/** A commit and a line end, with room for what else may stand there. */
const maxRevisionBytes = 1024;

/** What is wrong with the file that says which commit a tag stands for. */
async function wrongRevision(path: string, commit: string): Promise<Problem[]> {
  try {
    const bytes = await readDocument(path, { maxBytes: maxRevisionBytes, named: false });
    const said = bytes.toString("utf8").trim();
    if (said === commit) return [];
    const found = /^[0-9a-f]{40}$/.test(said) ? `is commit ${said}` : "is not a commit";
    return [{ item: path, kind: "differs", detail: `${found}, expected ${commit}` }];
  } catch (error) {
    if (errno(error) === "ENOENT")
      return [{ item: path, kind: "missing", detail: `expected commit ${commit}` }];
    return [{ item: path, kind: "unreadable", detail: unreadableBecause(error) }];
  }
}
