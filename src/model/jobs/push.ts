import { OcibundleError, withContext, withoutSubject } from "../../errors.ts";
import {
  formatReference,
  formatRepository,
  type Reference,
  referenceTarget,
} from "../../oci/reference.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseTarget } from "../places/target.ts";
import { refuseStandardOutput } from "../places/standard-output.ts";
import { partTarget } from "./part-target.ts";
import { type BaseVersion, readBase } from "./base-version.ts";
import type { ModelParts } from "./model-parts.ts";
import { checkModelFlags, checkPathFlags } from "./check-flags.ts";
import { checkCogLock, writeCogLock } from "./cog-lock.ts";
import type { SplitChoice } from "../lock/cut-entries.ts";
import { prepareModel } from "./prepare.ts";
import { chosenLayout } from "./chosen-layout.ts";
import { lockDirectories } from "../lock/lock-directories.ts";
import { parseAnnotations } from "../format/chosen-annotations.ts";
import { projectImage } from "../format/read-project-file.ts";
import { publish } from "../graph/publish.ts";
import { openMemory } from "./push-memory.ts";
import { cogImageTag, furtherTags, weightsTag } from "./push-tags.ts";
import { sendUnnamed } from "./send-unnamed.ts";
import { onlyPlatform, publishReport } from "../graph/publish-report.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { PublishReport } from "../../report/publish.ts";

/** What `push` is asked for besides the parts of the model. */
export interface PushRequest extends ModelParts {
  /** Where to push to; the project file's `image` when undefined. */
  reference: string | undefined;
  dryRun: boolean;
  /** Directories and files that are locked where they are not, and pushed. */
  paths?: readonly string[] | undefined;
  /** Whether files that are not whole are locked and pushed all the same. */
  allowIncomplete?: boolean | undefined;
  /** Whether a lock is read and written for `paths`; it is unless this is false. */
  writeLock?: boolean | undefined;
  /** Whether the lock is written anew where files differ from it; otherwise that is an error. */
  updateLock?: boolean | undefined;
  /** Ask for every blob, also where the registry has a manifest that names it. */
  checkBlobs?: boolean | undefined;
  /** Further tags for the model. */
  tags?: readonly string[] | undefined;
  /** A further tag, for the weights artifact: jobs that remove untagged manifests spare it then. */
  tagWeights: string | undefined;
  /** A version in parts that is to share parts with this one. */
  base?: string | undefined;
  /** Where Cog's own lock is written, in the layout cog. */
  cogLock?: string | undefined;
}

/**
 * Pushes image and weights to a registry under one tag.
 *
 * Throws `usage` for parts that do not fit together, `integrity` for files that are not what the lock
 * says, `denied` and `network` for what the registry answers.
 */
export async function pushModel(job: JobContext, request: PushRequest): Promise<PublishReport> {
  const started = performance.now();
  const session = openSession(job);
  const moreTags = furtherTags(request.tags ?? []);
  const { reference } = parseTarget(request.reference ?? (await projectImage(session.cwd)), "push");
  const name = formatReference(reference);
  const { tag } = reference;
  if (tag === undefined || reference.digest !== undefined) {
    throw new OcibundleError("usage", `"${name}" has a digest: push needs a tag`, {
      hint: `use a tag, such as ${formatRepository(reference)}:v1`,
    });
  }
  try {
    // A fault of theirs is found before anything is read or sent.
    parseAnnotations(request.annotation ?? []);
    if ((request.paths ?? []).length > 0) refuseStandardOutput(request.lock, "the lock of a push");
    refuseStandardOutput(request.cogLock, "Cog's lock");
    checkPathFlags(request);
    const layout = await chosenLayout(session, request.layout, reference.host);
    await checkModelFlags(session, request, layout ?? "bundle");
    await checkCogLock(session.cwd, request.cogLock, layout);
    const target = session.writer(reference);
    const base = await readBase(session, request.base, layout);
    const memory = await openMemory(session, reference, { target, base });
    const sending = sendUnnamed(session, target, { dryRun: request.dryRun, layout });
    const sendingJob = { ...session, sendUnnamed: sending.send };
    const cutFor =
      layout === "parts" && (request.paths ?? []).length > 0
        ? { numbers: await memory.knowledge.numbers?.(), layers: request.mostParts }
        : undefined;
    const parts = await lockedParts(sendingJob, request, cutFor);
    const sentParts = new Map<Digest, number>();
    const knowledge = {
      ...memory.knowledge,
      parts: partTarget(() => Promise.resolve(target), {
        dryRun: request.dryRun,
        offer: memory.mounts.offer,
        sent: sentParts,
      }),
    };
    await using prepared = await prepareModel(sendingJob, parts, knowledge);
    const model = { ...prepared.model, blobs: memory.mounts.offer(prepared.model.blobs) };
    const published = await publish(model, target, {
      ...session,
      concurrency: session.flags.concurrency,
      tag,
      moreTags: moreTags.filter((more) => more !== tag),
      dryRun: request.dryRun,
      base: sameRepository(base, reference) ? referenceTarget(base.reference) : undefined,
      sentBefore: new Map([...sending.sent, ...sentParts]),
      checkBlobs: request.checkBlobs,
      childTags: new Map([
        ...(model.childTags ?? []),
        ...cogImageTag(model, tag),
        ...weightsTag(model, request.tagWeights, tag),
      ]),
    });
    if (!request.dryRun) {
      await memory.keep(model.blobs);
      const directory = request.paths?.[0] ?? request.weights[0];
      await writeCogLock(session.cwd, request.cogLock, { entries: model.cogEntries, directory });
    }
    return await publishReport({
      session,
      name,
      reference,
      action: request.dryRun ? "would-push" : "pushed",
      model,
      published,
      milliseconds: performance.now() - started,
      platform: onlyPlatform(model.image),
      target: "registry",
      dryRun: request.dryRun,
    });
  } catch (error) {
    throw withContext(`push ${name}`, withoutSubject(formatRepository(reference), error));
  }
}

/** The parts, with the lock of the directories that are pushed in one step. Throws as `lockDirectories`. */
async function lockedParts(
  job: JobContext,
  request: PushRequest,
  cutFor: SplitChoice | undefined,
): Promise<ModelParts> {
  const { paths = [], lock, include, exclude, allowIncomplete, dryRun } = request;
  if (paths.length === 0) return request;
  const given = await lockDirectories(job, {
    paths,
    lock,
    include,
    exclude,
    allowIncomplete,
    dryRun,
    cutFor,
    updateLock: request.updateLock ?? false,
    noLock: request.writeLock === false,
  });
  return { ...request, weights: paths, given };
}

const sameRepository = (
  base: BaseVersion | undefined,
  { host, repository }: Reference,
): base is BaseVersion => base?.reference.host === host && base.reference.repository === repository;
