import { OcibundleError } from "../errors.ts";
import { type ByteSource, passing, slice } from "../flow/passing.ts";
import { failureError, httpFailureOf } from "../http/message/failure.ts";
import type { BlobSource, ByteRange, ContentReader } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type SizeOf, withSizes } from "../oci/manifest-sizes.ts";
import type { Clock } from "../retry/clock.ts";
import { retryCounter } from "../retry/retry-counter.ts";
import { outageReason } from "./outage.ts";
import { refusesRanges } from "./refusal.ts";
import type { BlobAnswer, Repository } from "./types.ts";

/** Reads manifests and blobs of one repository. Nothing is asked before it is needed. */
export const registryReader = (repository: Repository, clock?: Clock): ContentReader => ({
  name: repository.fullName,
  readManifest: async (tagOrDigest, signal) =>
    withSizes(await repository.getManifest(tagOrDigest, signal), sizeOf(repository), signal),
  hasBlob: async ({ digest, size }, signal) =>
    (await repository.headBlob(digest, signal, size)) === size,
  blobSource: (descriptor) => Promise.resolve(blobSource(repository, descriptor, clock)),
  host: repository.registry.host,
  ranges: (descriptor, range, signal) => repository.getBlob(descriptor, range, signal),
  listReferrers: (digest, signal, onPassed) =>
    repository.listReferrers(digest, undefined, signal, onPassed),
  ...(repository.reportCorrupt === undefined
    ? {}
    : { reportCorrupt: (digest) => repository.reportCorrupt?.(digest) ?? false }),
});

/** Sizes that a manifest leaves out, as the repository has them. */
const sizeOf =
  (repository: Repository): SizeOf =>
  async (digest, kind, signal) =>
    kind === "blob"
      ? repository.headBlob(digest, signal)
      : (await repository.headManifest(digest, signal))?.size;

/** Answers in a row that break off without a byte before it is given up. */
const maxEmptyAnswers = 4;

const blobSource = (
  repository: Repository,
  descriptor: Descriptor,
  clock: Clock | undefined,
): BlobSource => ({
  kind: "stream",
  async open(range, signal) {
    if (range.start >= range.end) return new Blob([]).stream();
    let at = range.start;
    let empty = 0;
    let reader = await openAt(repository, descriptor, range, signal);
    const resuming: ByteSource = {
      async read() {
        for (;;) {
          try {
            const { done, value } = await reader.read();
            if (done) return { done };
            at += value.byteLength;
            empty = 0;
            return { done, value };
          } catch (error) {
            // A connection that broke is resumed at once: the client waits when it opens another one.
            const resumes = httpFailureOf(error) !== undefined && !signal.aborted;
            if (!resumes || ++empty === maxEmptyAnswers) throw error;
            const rest = { start: at, end: range.end };
            const again = () => openAt(repository, descriptor, rest, signal);
            reader = await throughOutage(again, signal, clock);
          }
        }
      },
      cancel: (reason) => reader.cancel(reason),
    };
    return passing(resuming);
  },
});

/** Asks a registry that just sent something until it answers, or its outage lasts too long; then throws the failure. */
async function throughOutage<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  clock: Clock | undefined,
): Promise<T> {
  const counter = retryCounter({ clock });
  counter.noteContact();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const reason = outageReason(error);
      if (!(error instanceof OcibundleError) || reason === undefined) throw error;
      counter.count();
      await counter.waitOutage(error, signal, reason);
    }
  }
}

async function openAt(
  repository: Repository,
  descriptor: Descriptor,
  range: ByteRange,
  signal: AbortSignal,
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const answer = await ask(repository, descriptor, range, signal);
  return cut(answer, range, `${repository.fullName}: blob ${descriptor.digest}`).getReader();
}

/** Asks for the range, or for everything where the registry has no ranges. */
async function ask(
  repository: Repository,
  descriptor: Descriptor,
  range: ByteRange,
  signal: AbortSignal,
): Promise<BlobAnswer> {
  const whole = range.start === 0 && range.end === descriptor.size;
  if (whole) return repository.getBlob(descriptor, undefined, signal);
  try {
    return await repository.getBlob(descriptor, range, signal);
  } catch (error) {
    if (!refusesRanges(error)) throw error;
    return repository.getBlob(descriptor, undefined, signal);
  }
}

/** The bytes of `range` out of an answer that holds them, exactly as many as there must be. */
const cut = (answer: BlobAnswer, range: ByteRange, on: string): ReadableStream<Uint8Array> =>
  slice(answer.body, range.start - answer.range.start, range.end - range.start, (bytes) =>
    failureError(on, "reset", { what: `the response ended at byte ${answer.range.start + bytes}` }),
  );
