import { OcibundleError } from "../../errors.ts";
import type { BlobSource, ContentWriter } from "../../oci/content.ts";
import { limitsOf } from "../../registry/limits.ts";
import type { Repository } from "../../registry/types.ts";
import { checkSource } from "../check-source.ts";
import type { Clock } from "../../retry/clock.ts";
import type { EmitEvent } from "../events.ts";
import type { RetryPolicy } from "../../retry/backoff.ts";
import type { UploadJournal } from "./upload-journal.ts";
import type { UploadMemory } from "./upload-memory.ts";
import { uploadBlob } from "./upload.ts";
import { seenAtFirst, type SeenOfRegistry } from "./upload-method.ts";

export interface RegistryWriterOptions {
  /** Told of waits and of why a way of uploading was left. */
  emit?: EmitEvent | undefined;
  /** What is known of registries by host; shared by the whole process unless given. */
  seen?: Map<string, SeenOfRegistry> | undefined;
  clock?: Clock | undefined;
  retries?: RetryPolicy | undefined;
  /** Where large uploads are noted, for a later run to go on with. */
  journal?: UploadJournal | undefined;
  /** How registries took uploads in earlier runs. */
  memory?: UploadMemory | undefined;
}

/** Rounded down: a blob just over a limit must not look as if it fitted, nor the limit larger than it is. */
const gibibytes = (bytes: number): string => String(Math.floor((bytes / 1024 ** 3) * 10) / 10);

const seenByProcess = new Map<string, SeenOfRegistry>();

/** Writes to a repository of a registry: HEAD, mount or upload, manifests by digest and tag. */
export function registryWriter(
  repository: Repository,
  { emit, seen = seenByProcess, clock, retries, journal, memory }: RegistryWriterOptions = {},
): ContentWriter {
  const { host } = repository.registry;
  const limits = limitsOf(host);
  const seenHere = seen.get(host) ?? seenAtFirst(limits);
  seen.set(host, seenHere);
  return {
    name: repository.fullName,

    async hasBlob({ digest, size }, signal) {
      // Another size is as good as absent: the upload's digest check decides who is right.
      return (await repository.headBlob(digest, signal, size)) === size;
    },

    checkBlob({ descriptor: { size } }) {
      const { largestBlob } = limits ?? {};
      if (largestBlob === undefined || size <= largestBlob) return;
      throw new OcibundleError(
        "usage",
        `size ${gibibytes(size)} GiB exceeds the limit of ${host}: ${gibibytes(largestBlob)} GiB per layer`,
        { hint: "split it into smaller files, or push to another registry" },
      );
    },

    async writeBlob(blob, { signal, onBytes }) {
      const { descriptor, label, name: item = label, mountFrom } = blob;
      let source: BlobSource | undefined;
      // Asked for when no mount spares the work: it may be a weight that must be compressed first.
      const open = async (): Promise<BlobSource> => {
        source = await blob.source(signal);
        await checkSource(source);
        return source;
      };
      await memory?.recall(host, seenHere);
      const onLearned = async () => await memory?.keep(host, seenHere);
      const known = { seen: seenHere, onLearned, clock, retries, journal };
      const options = { signal, onBytes, emit, item, mountFrom, ...known };
      try {
        return await uploadBlob(repository, descriptor, open, options);
      } catch (error) {
        signal.throwIfAborted();
        // The registry found other bytes: where the file is known to have changed, that is the news.
        if (error instanceof OcibundleError && error.code === "integrity") {
          await checkSource(source);
        }
        throw error;
      }
    },

    async canMount({ descriptor: { digest, size }, mountFrom = [] }, signal) {
      for (const from of mountFrom) {
        const other = repository.registry.repository(from);
        try {
          if ((await other.headBlob(digest, signal, size)) === size) return true;
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof OcibundleError)) throw error;
        }
      }
      return false;
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
