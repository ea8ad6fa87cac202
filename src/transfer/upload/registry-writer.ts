import { amended, OcibundleError } from "../../errors.ts";
import type { BlobSource, ContentWriter } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { limitsOf } from "../../registry/limits.ts";
import { registryReader } from "../../registry/reader.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { Repository } from "../../registry/types.ts";
import { checkReadable, checkSource } from "../check-source.ts";
import type { Clock } from "../../retry/clock.ts";
import type { EmitEvent } from "../events.ts";
import type { RetryPolicy } from "../../retry/backoff.ts";
import { askSources } from "./mount-memory.ts";
import type { UploadJournal } from "./upload-journal.ts";
import type { UploadMemory } from "./upload-memory.ts";
import { mountOnly } from "./upload-session.ts";
import { uploadBlob } from "./upload.ts";
import { uploadUnnamed } from "./upload-unnamed.ts";
import { initialTraits, type RegistryTraits } from "./registry-traits.ts";

/** What uploads report, and what they remember. */
export interface RegistryWriterOptions {
  /** Gets waits, and the reason why an upload method was left. */
  emit?: EmitEvent | undefined;
  /** What is known about registries, by host; shared by the whole process unless given. */
  traits?: Map<string, RegistryTraits> | undefined;
  clock?: Clock | undefined;
  /** `transferRetries` unless given. */
  retries?: RetryPolicy | undefined;
  /** Where large uploads are recorded, so that a later run can resume them. */
  journal?: UploadJournal | undefined;
  /** What earlier runs learned about registries. */
  memory?: UploadMemory | undefined;
}

/** Rounded down: a blob just over a limit must not look as if it fitted, nor the limit larger than it is. */
const gibibytes = (bytes: number): string => String(Math.floor((bytes / 1024 ** 3) * 10) / 10);

/** A refusal of too many bytes, with the way to send fewer in one blob where there is one. */
function withSmallerBlobs(error: unknown, { canSplit }: { canSplit?: boolean }): unknown {
  if (canSplit !== true || refusalOf(error)?.status !== 413) return error;
  if (!(error instanceof OcibundleError)) return error;
  return amended(error, { hint: `${error.hint}, or store large weights in parts with --parts` });
}

const traitsInProcess = new Map<string, RegistryTraits>();

/** Writes to a repository of a registry: HEAD, mount or upload, manifests by digest and tag. */
export function registryWriter(
  repository: Repository,
  {
    emit,
    traits: known = traitsInProcess,
    clock,
    retries,
    journal,
    memory,
  }: RegistryWriterOptions = {},
): ContentWriter {
  const { host } = repository.registry;
  const limits = limitsOf(host);
  const traits = known.get(host) ?? initialTraits(limits);
  known.set(host, traits);
  const written = new Set<Digest>();
  return {
    name: repository.fullName,

    async hasBlob({ digest, size }, signal) {
      // Another size is as good as absent: the upload's digest check decides who is right.
      return (await repository.headBlob(digest, signal, size)) === size;
    },

    blobSource: (descriptor, signal) =>
      registryReader(repository, clock).blobSource(descriptor, signal),

    checkBlob({ descriptor: { size }, canSplit }) {
      const { largestBlob } = limits ?? {};
      if (largestBlob === undefined || size <= largestBlob) return;
      throw new OcibundleError(
        "usage",
        `size ${gibibytes(size)} GiB exceeds the limit of ${host}: ${gibibytes(largestBlob)} GiB per layer`,
        {
          hint:
            canSplit === true
              ? "store it in parts: `ocibundle push REF --parts`, or `ocibundle copy SRC DST --parts`"
              : "use a registry that accepts larger layers",
        },
      );
    },

    async writeBlob(blob, { signal, onBytes, ofMany }) {
      const { descriptor, label, name: item = label, mountFrom } = blob;
      let source: BlobSource | undefined;
      // Asked for when no mount spares the work: it may be a weight that must be compressed first.
      const open = async (): Promise<BlobSource> => {
        source = await blob.source(signal);
        await checkReadable(source);
        return source;
      };
      await memory?.recall(host, traits);
      // What was lost once does not go the same short way again: the registry may say 201 without having read it.
      if (written.has(descriptor.digest)) traits.wholePosts = false;
      const onLearned = async () => await memory?.keep(host, traits);
      const shared = { traits, onLearned, clock, retries, journal };
      const options = { signal, onBytes, emit, item, mountFrom, ofMany, ...shared };
      try {
        const outcome = await uploadBlob(repository, descriptor, open, options);
        written.add(descriptor.digest);
        return outcome;
      } catch (error) {
        signal.throwIfAborted();
        // The registry found other bytes: where the file is known to have changed, that is the news.
        if (error instanceof OcibundleError && error.code === "integrity") {
          await checkSource(source);
        }
        throw withSmallerBlobs(error, blob);
      }
    },

    async writeUnnamed(blob, { signal, onBytes }) {
      await memory?.recall(host, traits);
      const onLearned = async () => await memory?.keep(host, traits);
      const item = blob.label;
      const shared = { traits, onLearned, clock, retries, journal };
      try {
        return await uploadUnnamed(repository, blob, { signal, onBytes, emit, item, ...shared });
      } catch (error) {
        throw withSmallerBlobs(error, blob);
      }
    },

    canMount({ descriptor: { digest, size }, mountFrom = [] }, signal) {
      return askSources(traits.mounts, mountFrom, async (from) => {
        const other = repository.registry.repository(from);
        try {
          return (await other.headBlob(digest, signal, size)) === size ? "mounted" : "declined";
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof OcibundleError)) throw error;
          return "declined";
        }
      });
    },

    mountBlob({ descriptor, mountFrom }, signal) {
      return mountOnly(repository, descriptor, { signal, emit, mountFrom, mounts: traits.mounts });
    },

    async isNew(signal) {
      try {
        for await (const _ of repository.listTags(signal)) return false;
        return false;
      } catch (error) {
        signal.throwIfAborted();
        return refusalOf(error)?.codes.includes("NAME_UNKNOWN") ?? false;
      }
    },

    async readTag(tag, signal) {
      try {
        return await repository.getManifest(tag, signal);
      } catch (error) {
        if (error instanceof OcibundleError && error.code === "not_found") return undefined;
        throw error;
      }
    },

    async hasManifest({ digest }, signal) {
      return (await repository.headManifest(digest, signal))?.digest === digest;
    },

    async writeManifest(manifest, tag, signal) {
      await repository.putManifest(tag ?? manifest.digest, manifest, signal);
    },
  };
}
