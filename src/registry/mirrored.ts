import { Buffer } from "node:buffer";
import { OcibundleError } from "../errors.ts";
import { passing } from "../flow/passing.ts";
import type { EmitHttpEvent } from "../http/message/message.ts";
import type { ByteRange } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, isDigest, matchesDigest } from "../oci/digest.ts";
import { refusesRanges } from "./refusal.ts";
import type { BlobAnswer, Repository } from "./types.ts";

/** A mirror that failed is left alone for so long, in milliseconds. */
export const restAfterFailure = 60_000;

/**
 * A whole blob up to this size, in bytes, is checked before any of it is handed on; of a larger one only
 * its reader can tell whether it was right.
 */
export const heldBytes = 8 * 1024 * 1024;

/** One mirror in a run: whether it is worth asking. */
export interface MirrorHealth {
  usable(): boolean;
  /** It did not answer as a registry does: it is left alone for a while. Told of as a warning the first time. */
  failed(why: string): void;
  /** It gave wrong bytes: it is not asked again. */
  lied(why: string): void;
}

/** The health of a mirror that nothing is known of yet. `name` is for messages. */
export function mirrorHealth(
  name: string,
  emit: EmitHttpEvent,
  now: () => number = Date.now,
): MirrorHealth {
  let until = -Infinity;
  let told = false;
  const rest = (why: string, end: number): void => {
    // Several requests may fail at once.
    if (now() < until && end !== Infinity) return;
    until = end;
    emit({
      type: told && end !== Infinity ? "detail" : "warning",
      message: `mirror "${name}": ${why}; continuing without it`,
    });
    told = true;
  };
  return {
    usable: () => now() >= until,
    failed: (why) => rest(why, now() + restAfterFailure),
    lied: (why) => {
      if (until !== Infinity) rest(why, Infinity);
    },
  };
}

/** A mirror's copy of one repository. */
export interface Mirror {
  /** For messages. */
  name: string;
  repository: Repository;
  health: MirrorHealth;
  /** Whether it may say what a tag stands for. */
  tags: boolean;
}

/**
 * A repository that is read from its mirrors, in their order, and from itself where they fail or lack
 * something. What is written goes to itself alone; lists are its own, since nobody could see that a
 * mirror's are incomplete. Manifests and small blobs are checked here. Who reads a large blob checks it,
 * and says by `reportCorrupt` that it was wrong.
 */
export function mirroredRepository(
  origin: Repository,
  mirrors: readonly Mirror[],
  emit: EmitHttpEvent,
): Repository {
  /** Who gave bytes that were not checked here. */
  const served = new Map<Digest, Set<Mirror>>();

  /** What to do about a mirror's failure; anything but an OcibundleError is thrown. */
  const note = (mirror: Mirror, error: unknown, signal: AbortSignal): void => {
    signal.throwIfAborted();
    if (!(error instanceof OcibundleError)) throw error;
    if (error.code === "not_found") {
      emit({ type: "detail", message: `mirror "${mirror.name}": ${error.message}` });
    } else if (error.code === "integrity") mirror.health.lied(error.message);
    else mirror.health.failed(error.message);
  };

  /** The first mirror's answer that is one, else the repository's own. */
  const first = async <T>(
    what: { tagOrDigest: string; signal: AbortSignal },
    ask: (repository: Repository) => Promise<T>,
  ): Promise<T> => {
    for (const mirror of mirrors) {
      if (!mirror.health.usable() || (!mirror.tags && !isDigest(what.tagOrDigest))) continue;
      try {
        const answer = await ask(mirror.repository);
        if (answer !== undefined) return answer;
        emit({ type: "detail", message: `mirror "${mirror.name}" has no ${what.tagOrDigest}` });
      } catch (error) {
        note(mirror, error, what.signal);
      }
    }
    return ask(origin);
  };

  const getBlob = async (
    descriptor: Descriptor,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<BlobAnswer> => {
    for (const mirror of mirrors) {
      if (!mirror.health.usable()) continue;
      try {
        const answer = await mirror.repository.getBlob(descriptor, range, signal);
        if (range === undefined && descriptor.size <= heldBytes) {
          return { ...answer, body: await checked(answer.body, descriptor, mirror.name) };
        }
        const by = served.get(descriptor.digest) ?? new Set();
        served.set(descriptor.digest, by.add(mirror));
        const body = passing(answer.body, {
          onError(error) {
            if (!signal.aborted && error instanceof OcibundleError) note(mirror, error, signal);
          },
        });
        return { ...answer, body };
      } catch (error) {
        // It may have the blob and no ranges: the caller asks for all of it then.
        if (range !== undefined && refusesRanges(error) && !signal.aborted) throw error;
        note(mirror, error, signal);
      }
    }
    return origin.getBlob(descriptor, range, signal);
  };

  return {
    ...origin,
    headManifest: (tagOrDigest, signal) =>
      first({ tagOrDigest, signal }, (at) => at.headManifest(tagOrDigest, signal)),
    getManifest: (tagOrDigest, signal) =>
      first({ tagOrDigest, signal }, (at) => at.getManifest(tagOrDigest, signal)),
    headBlob: (digest, signal, expected) =>
      first({ tagOrDigest: digest, signal }, (at) => at.headBlob(digest, signal, expected)),
    getBlob,
    reportCorrupt(digest) {
      const liars = served.get(digest) ?? [];
      served.delete(digest);
      let any = false;
      for (const mirror of liars) {
        any = true;
        mirror.health.lied(`the received content does not match digest ${digest}`);
      }
      return any;
    },
  };
}

/** The same bytes, all of them checked against the digest. Throws `integrity`. */
async function checked(
  body: ReadableStream<Uint8Array>,
  { digest, size }: Descriptor,
  name: string,
): Promise<ReadableStream<Uint8Array>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    chunks.push(value);
    if (length <= size) continue;
    await reader.cancel().catch(() => undefined);
    break;
  }
  const bytes = Buffer.concat(chunks);
  if (length !== size || !matchesDigest(bytes, digest)) {
    throw new OcibundleError(
      "integrity",
      `the content of mirror "${name}" does not match digest ${digest}`,
    );
  }
  return new Blob([bytes]).stream();
}
