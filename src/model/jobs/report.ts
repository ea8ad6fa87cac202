import { Buffer } from "node:buffer";
import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import picomatch from "picomatch";
import { OcibundleError } from "../../errors.ts";
import type { ModelsReport, VersionReport } from "../../report/models-report.ts";
import { parallel } from "../../flow/parallel.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatReference, formatRepository, type Reference } from "../../oci/reference.ts";
import { compareFiles, type ListedFile } from "../graph/compare-files.ts";
import { compareVersions, type StoredVersion } from "../graph/compare-versions.ts";
import { isVersionTag, readRepository } from "../graph/repository-graph.ts";
import { hasUnlisted } from "../graph/summary.ts";
import { type Loaded, loadSource } from "../places/load-model.ts";
import { modelPlace } from "../places/place.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { splitFilesOf, storedSizesOf } from "./diff-parts.ts";
import { blobsOf, filesOf } from "./report-blobs.ts";
import { refuseOtherContent, writeOutputFile } from "../../store/output-file.ts";

/** Which models a report is about. */
export interface ReportRequest {
  /** Repositories, references, layouts and archives. */
  models: readonly string[];
  /** Globs of the tags of a repository; all tags when empty. */
  match: readonly string[];
  /** Of a repository's tags, only this many of the newest. */
  last: number;
}

/** Models whose manifests are read at once. */
const modelsAtOnce = 4;

interface Wanted {
  name: string;
  label: string;
  created: Date | null;
}

/**
 * Reads the manifests of all versions and finds out what they share. No weights are fetched. Tags that
 * can't be read are listed with the reason. Throws `usage`, `not_found` where no tag matches, `integrity` where no tag
 * can be read, and what keeps a model that was named by its own name from being read.
 */
export async function reportModels(
  job: JobContext,
  { models, match, last }: ReportRequest,
): Promise<ModelsReport> {
  const session = openSession(job);
  const broken: ModelsReport["broken"] = [];
  const wanted: Wanted[] = [];
  let leftOut = 0;
  for (const text of models) {
    const repository = await repositoryOf(session, text);
    if (repository === undefined) {
      const label = text.replace(/^.*\/(?=[^/])/, "");
      wanted.push({ name: text, label, created: null });
      continue;
    }
    const tags = await tagsOf(session, repository, { match, broken });
    wanted.push(...tags.slice(Math.max(0, tags.length - last)));
    leftOut += Math.max(0, tags.length - last);
  }
  if (wanted.length === 0) throw nothing(models, match, broken);
  const loaded = await parallel(wanted, modelsAtOnce, session.signal, (one) =>
    loadVersion(session, one),
  );
  const comparison = compareVersions(loaded.map(({ stored }) => stored));
  return {
    models: [...models],
    versions: loaded.map(({ version }, at) => ({
      ...version,
      ...(comparison.sizes[at] ?? { size: 0, own: 0 }),
    })),
    broken,
    leftOut,
    size: comparison.size,
    files: compareFiles(loaded.map(({ files }) => files)),
    blobs: comparison.blobs,
    fetch: comparison.fetch,
  };
}

/** The repository that a text names without a tag or a digest; undefined for anything else. */
async function repositoryOf(session: Session, text: string): Promise<Reference | undefined> {
  if ((await modelPlace(session, text)).repository === undefined) return undefined;
  const { reference, tag } = parseRegistryPlace(text, "report");
  return tag === undefined && reference.digest === undefined ? reference : undefined;
}

/** The versions of a repository, the oldest first: by date where all have one, else by name. */
async function tagsOf(
  session: Session,
  reference: Reference,
  { match, broken }: { match: readonly string[]; broken: ModelsReport["broken"] },
): Promise<Wanted[]> {
  const graph = await readRepository(
    session.repository(reference),
    session.originReader(reference),
    { signal: session.signal, concurrency: session.flags.concurrency },
  );
  const matches = match.length === 0 ? () => true : picomatch([...match]);
  const wanted: Wanted[] = [];
  for (const tag of graph.tags) {
    if (!matches(tag.tag) || !isVersionTag(tag, graph.nodes)) continue;
    const name = `${formatRepository(reference)}:${tag.tag}`;
    if (tag.error !== null || tag.digest === null) {
      const message = tag.error?.message ?? "it cannot be read";
      session.emit({ type: "warning", message: `tag "${tag.tag}" is broken: ${message}` });
      broken.push({ name, message });
      continue;
    }
    const created = graph.nodes.get(tag.digest)?.created ?? null;
    // The manifest that the tag stands for now, even if it moves meanwhile.
    const pinned = formatReference({ ...reference, tag: tag.tag, digest: tag.digest });
    wanted.push({ name: pinned, label: tag.tag, created });
  }
  const byName = new Intl.Collator("en", { numeric: true });
  const isDated = wanted.every(({ created }) => created !== null);
  return wanted.toSorted(
    (a, b) =>
      (isDated ? Number(a.created) - Number(b.created) : 0) || byName.compare(a.label, b.label),
  );
}

function nothing(
  models: readonly string[],
  match: readonly string[],
  broken: ModelsReport["broken"],
): OcibundleError {
  const on = models.join(", ");
  if (broken.length > 0) {
    return new OcibundleError("integrity", `${on}: none of ${broken.length} tags can be read`);
  }
  return new OcibundleError("not_found", `${on}: no tag${match.length > 0 ? " matches" : ""}`, {
    hint: "run `ocibundle ls` for the tags of a repository",
  });
}

async function loadVersion(
  session: Session,
  { name, label, created }: Wanted,
): Promise<{
  version: Omit<VersionReport, "size" | "own">;
  files: ListedFile[];
  stored: StoredVersion;
}> {
  const loaded = await loadSource(session, name, (_child, error) => {
    if (error.code === "integrity") throw error;
    session.emit({ type: "warning", message: error.message });
  });
  if (loaded.kind === "lock") throw new Error(`a lock in place of a model: ${name}`);
  await using model = loaded;
  const { summary } = model;
  const files = filesOf(model);
  return {
    version: {
      name,
      label,
      digest: summary.digest,
      type: summary.type,
      format: summary.weights?.format ?? null,
      created: created?.toISOString() ?? null,
      files: files.length,
      weights: files.reduce((sum, { size }) => sum + size, 0),
      unlisted: summary.weights === null || hasUnlisted(summary),
    },
    files,
    stored: { blobs: blobsOf(model), fetched: fetchedOf(model), parts: partsOf(model) },
  };
}

type Model = Extract<Loaded, { kind: "model" }>;

/** As `diff` counts it: nodes keep weight files as they are, and image layers as they are stored. */
function fetchedOf(model: Model): Map<Digest, number> {
  const fetched = storedSizesOf(model);
  for (const { descriptor, group } of model.graph.blobs) {
    if (group === "image") fetched.set(descriptor.digest, descriptor.size);
  }
  return fetched;
}

function partsOf(model: Model): StoredVersion["parts"] {
  const files = new Map<Digest, Map<Digest, number>>();
  for (const [file, parts] of splitFilesOf(model)) {
    files.set(file, new Map(parts.map(({ digest, stored }) => [digest, stored.size])));
  }
  return files;
}

/** The error that a report with broken tags ends with, or undefined where all tags are well. */
export function reportFailure({ broken, versions }: ModelsReport): OcibundleError | undefined {
  if (broken.length === 0) return undefined;
  const all = broken.length + versions.length;
  return new OcibundleError("integrity", `${broken.length} of ${all} tags cannot be read`);
}

/** How much of a page is looked at, in bytes: the head of a report says what made it. */
const headBytes = 1024;

/** What a new report may take the place of. */
const earlierReport = {
  what: "an ocibundle report",
  async isOne(file: FileHandle): Promise<boolean> {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const head = buffer.toString("latin1", 0, bytesRead);
    return head.includes('<meta name="generator" content="ocibundle" />');
  },
};

/** Writes a report's page to the file that was named. Throws `conflict`, `file`, `system`. */
export async function writeReport({ cwd }: JobContext, path: string, page: string): Promise<void> {
  const target = resolve(cwd, path);
  await refuseOtherContent(target, earlierReport);
  const bytes = new TextEncoder().encode(page);
  await writeOutputFile(target, bytes, "write to a writable directory with -o FILE");
}
