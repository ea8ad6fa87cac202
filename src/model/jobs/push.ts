import { OcibundleError, withContext, withoutSubject } from "../../errors.ts";
import type { KnownLayers } from "../../image/conversion/types.ts";
import type { BlobToMove, ContentWriter } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import {
  formatReference,
  formatRepository,
  isTag,
  type Reference,
  referenceTarget,
} from "../../oci/reference.ts";
import {
  keepConfig,
  type LayerRecords,
  openLayerRecords,
  readKeptConfig,
} from "../../store/records/layer-records.ts";
import type { AssembledModel } from "../graph/assemble.ts";
import { parseTarget } from "../places/target.ts";
import { openMountSources } from "../places/mount-sources.ts";
import { type BaseVersion, readBase } from "./base-version.ts";
import type { ModelParts } from "./model-parts.ts";
import { checkModelFlags, checkPathFlags } from "./check-flags.ts";
import { checkCogLock, writeCogLock } from "./cog-lock.ts";
import type { SplitChoice } from "../lock/cut-entries.ts";
import { chosenLayout, prepareModel, type TargetKnowledge } from "./prepare.ts";
import { lockDirectories } from "../lock/lock-directories.ts";
import { parseAnnotations } from "../format/chosen-annotations.ts";
import { projectImage } from "../format/project-file.ts";
import { numbersOfTag } from "../graph/split-of-tag.ts";
import { publish } from "../graph/publish.ts";
import { sendUnnamed } from "./send-unnamed.ts";
import { onlyPlatform, publishReport } from "../graph/publish-report.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import type { PublishReport } from "../../report/publish.ts";

export interface PushRequest extends ModelParts {
  /** Where to push to; the project file's `image` when undefined. */
  reference: string | undefined;
  dryRun: boolean;
  /** Directories and files that are locked where they are not, and pushed. */
  paths?: readonly string[] | undefined;
  allowIncomplete?: boolean | undefined;
  /** Whether a lock is read and written for `paths`; it is unless this is false. */
  writeLock?: boolean | undefined;
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
    await using prepared = await prepareModel(sendingJob, parts, memory.knowledge);
    const model = { ...prepared.model, blobs: memory.mounts.offer(prepared.model.blobs) };
    const published = await publish(model, target, {
      ...session,
      concurrency: session.flags.concurrency,
      tag,
      moreTags: moreTags.filter((more) => more !== tag),
      dryRun: request.dryRun,
      base: sameRepository(base, reference) ? referenceTarget(base.reference) : undefined,
      sentBefore: sending.sent,
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

/** The tags beside that of the reference, each once. Throws `usage` for one that is none. */
function furtherTags(tags: readonly string[]): string[] {
  const invalid = tags.find((tag) => !isTag(tag));
  if (invalid === undefined) return [...new Set(tags)];
  throw new OcibundleError("usage", `--tag "${invalid}" is not a valid tag`, {
    hint: "specify the reference first, and only the tag after -t: `ocibundle push REF -t TAG`",
  });
}

/** The tag that Cog gives the image of a model in its own format. */
function cogImageTag(
  { cogEntries, image }: AssembledModel,
  rootTag: string,
): ReadonlyMap<Digest, string> {
  const [only, ...others] = image?.images ?? [];
  const tag = `cog-image.${rootTag}`;
  if (cogEntries === undefined || only === undefined || others.length > 0) return new Map();
  return new Map(isTag(tag) ? [[only.digest, tag]] : []);
}

/** The tag that the weights artifact gets below an index. Throws `usage`. */
function weightsTag(
  { root, weights }: AssembledModel,
  tag: string | undefined,
  rootTag: string,
): ReadonlyMap<Digest, string> {
  if (tag === undefined) return new Map();
  const fail = (why: string, hint: string): never => {
    throw new OcibundleError("usage", `--tag-weights ${tag}: ${why}`, { hint });
  };
  if (!isTag(tag)) fail("not a tag", "use letters, digits, _ . and -, at most 128");
  if (tag === rootTag) fail("the model has the same tag", "choose another one");
  if (weights === undefined || weights.digest === root.digest) {
    return fail("the model has no index with a weights artifact", "remove it, or add an image");
  }
  return new Map([[weights.digest, tag]]);
}

const sameRepository = (
  base: BaseVersion | undefined,
  { host, repository }: Reference,
): base is BaseVersion => base?.reference.host === host && base.reference.repository === repository;

/** What earlier pushes to the same registry left in the cache directory. Only hints: the registry is asked. */
async function openMemory(
  session: Session,
  reference: Reference,
  { target, base }: { target: ContentWriter; base: BaseVersion | undefined },
) {
  const { cache } = session;
  const { host } = reference;
  const beside = base?.reference.host === host ? [base.reference.repository] : [];
  const [mounts, layers] = await Promise.all([
    openMountSources(session, reference, beside),
    openLayerRecords(cache, host),
  ]);
  let numbers: ReturnType<typeof numbersOfTag> | undefined;
  const knowledge: TargetKnowledge = {
    host,
    base: base?.name ?? "the version that the tag has",
    numbers: () =>
      (numbers ??=
        base === undefined
          ? numbersOfTag(session.originReader(reference), reference.tag, session.signal)
          : Promise.resolve(base.numbers)),
    knownLayers: knownLayers(session, layers, reference, target),
    configs: {
      find: (imageId) => readKeptConfig(cache, imageId),
      record: (imageId, config) => keepConfig(cache, imageId, config),
    },
  };
  return {
    knowledge,
    mounts,
    async keep(blobs: readonly BlobToMove[]): Promise<void> {
      await Promise.all([mounts.keep(blobs), layers.save()]);
    },
  };
}

/**
 * Layers pushed to this registry before. What another repository has is mounted at once: a layer that is
 * said to be known will not be exported, so it must be there for certain.
 */
function knownLayers(
  session: Session,
  layers: LayerRecords,
  { host, repository }: Reference,
  target: ContentWriter,
): KnownLayers {
  const here = session.repository({ host, repository });
  return {
    async find(diffId, signal) {
      for (const { blob, repositories } of layers.find(diffId, repository)) {
        if (await target.hasBlob(blob, signal)) return blob;
        for (const from of repositories) {
          if (from === repository) continue;
          const upload = await here.startUpload({ mount: { digest: blob.digest, from } }, signal);
          if (upload.mounted) return blob;
          await upload.session.cancel();
        }
      }
      return undefined;
    },
    record(diffId, descriptor) {
      layers.add(diffId, descriptor, repository);
    },
  };
}
