import { type ErrorCode, OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { Repository, UploadBody, UploadSession } from "../../registry/types.ts";
import { checkSource } from "../check-source.ts";
import {
  type RetryCounter,
  retryCounter,
  type RetryCounterOptions,
} from "../../retry/retry-counter.ts";
import { isTransient } from "../../retry/transient.ts";
import { uploadBody } from "./upload-body.ts";
import type { UploadNotes } from "./upload-journal.ts";
import { type UploadPosition, uploadPosition } from "./upload-position.ts";
import { stuckSession } from "./stuck-session.ts";
import { newSession, type OpenedSession } from "./upload-session.ts";
import {
  afterFailure,
  firstChunk,
  isSlow,
  nextChunk,
  nothingSeen,
  type SeenOfRegistry,
  smallerChunk,
  type UploadWay,
  wayNames,
  wayWorked,
  waysFor,
} from "./upload-method.ts";

export interface UploadRunOptions extends RetryCounterOptions {
  signal: AbortSignal;
  /** Further bytes that have gone out; negative when some must go again. `resumed`: an earlier run sent them. */
  onBytes?: ((bytes: number, resumed?: boolean) => void) | undefined;
  /** What this registry has shown before; learned from. */
  seen?: SeenOfRegistry | undefined;
  /** Awaited each time that something may have been added to `seen`. */
  onLearned?: (() => Promise<void>) | undefined;
}

/** Why a way of uploading was given up. */
class WayRefused extends Error {}

/** One blob on its way up: what is kept from one request to the next. */
export class Upload {
  private readonly seen: SeenOfRegistry;
  private readonly repository: Repository;
  private readonly descriptor: Descriptor;
  private readonly source: BlobSource;
  private readonly options: UploadRunOptions;
  private readonly notes: UploadNotes | undefined;
  private session: UploadSession | undefined;
  private minimumChunk: number | undefined;
  /** Whether the session began in an earlier run, whose bytes nobody here has seen. */
  private resumed: boolean;
  /**
   * Whether a PUT was refused for its bytes and sent once more: where a kept connection breaks, fetch may
   * send a request again by itself, behind what the session has got of it already.
   */
  private sentTwice = false;
  private readonly at: UploadPosition;
  private readonly counter: RetryCounter;
  private readonly stuck = stuckSession();
  private repeated = 0;
  private chunk: number;
  private sourceFailure: unknown;

  constructor(
    repository: Repository,
    descriptor: Descriptor,
    source: BlobSource,
    opened: OpenedSession,
    notes: UploadNotes | undefined,
    options: UploadRunOptions,
  ) {
    this.repository = repository;
    this.descriptor = descriptor;
    this.source = source;
    this.notes = notes;
    this.options = options;
    this.seen = options.seen ?? nothingSeen();
    this.at = uploadPosition(options.onBytes);
    this.counter = retryCounter(options);
    this.resumed = opened.position > 0;
    if (this.resumed) this.at.resume(opened.position);
    this.use(opened);
    this.chunk = firstChunk(this.seen, this.minimumChunk);
  }

  /** Sends the blob in the first way that the registry takes. */
  async run(): Promise<void> {
    const ways = waysFor(this.descriptor.size, this.seen);
    for (const [index, way] of ways.entries()) {
      try {
        await this.send(way);
        wayWorked(way, this.descriptor.size, this.seen);
        await this.options.onLearned?.();
        return;
      } catch (error) {
        if (!(error instanceof WayRefused)) throw error;
        if (index === ways.length - 1) throw error.cause;
        await this.giveUp(way, error.message);
      }
    }
  }

  /** Sends all that is missing in one way. Throws WayRefused when the registry does not take it so. */
  private async send(way: UploadWay): Promise<void> {
    for (;;) {
      try {
        if (this.session === undefined) {
          this.use(await newSession(this.repository, this.options.signal));
        } else if (await this.step(way, this.session)) return;
      } catch (error) {
        if (await this.recover(way, error)) return;
      }
    }
  }

  private use({ session, position, minimumChunk }: OpenedSession): void {
    this.session = session;
    this.minimumChunk = minimumChunk;
    this.reached(position);
  }

  /** Ends what was begun in one way, so that another can begin: from what the registry has, if it says so. */
  private async giveUp(way: UploadWay, reason: string): Promise<void> {
    const { host } = this.repository.registry;
    const { signal, onLearned } = this.options;
    this.seen.refused.set(way, reason);
    this.detail(`${host} does not take ${wayNames[way]}: ${reason}`);
    await onLearned?.();
    const { session } = this;
    const position = this.at.has;
    const has = position > 0 ? await session?.offset(signal).catch(() => undefined) : undefined;
    signal.throwIfAborted();
    if (has === position) {
      // Should the refused request have left something there, the digest tells, and all is sent again.
      this.resumed = true;
    } else {
      void session?.cancel();
      this.restart();
    }
    this.counter.reset();
    this.repeated = 0;
  }

  /** One request and what follows from its answer; true when the blob is there. */
  private async step(way: UploadWay, session: UploadSession): Promise<boolean> {
    const { digest, size } = this.descriptor;
    const { signal } = this.options;
    if (way === "put" || this.at.has === size) {
      const body = this.at.has === size ? undefined : this.body(size);
      await this.timed(size - this.at.has, () => session.finish(digest, body, signal));
      this.reached(size);
      return true;
    }
    // Another session than the one that the chunk was chosen for may want larger ones.
    const chunk = Math.max(this.chunk, this.minimumChunk ?? 0);
    const end = way === "chunks" ? Math.min(size, this.at.has + chunk) : size;
    const start = this.at.has;
    const body = this.body(end);
    const milliseconds = await this.timed(end - start, async () => {
      const has =
        way === "chunks"
          ? await session.patchChunk(start, body, signal)
          : await session.patchAll(body, signal);
      await this.accept(way, session, start, end, has);
    });
    if (way === "chunks" && end < size) {
      this.chunk = nextChunk(end - start, milliseconds, this.seen, this.minimumChunk);
    }
    return false;
  }

  /** Takes the registry's word for what it has, asking again where the word is odd. */
  private async accept(
    way: UploadWay,
    session: UploadSession,
    start: number,
    end: number,
    has: number,
  ): Promise<void> {
    if (has !== end) {
      const asked = await session.offset(this.options.signal);
      if (asked === undefined) {
        this.restart();
        throw new WayRefused("the upload is gone after a part of it was taken", {
          cause: this.failure("the registry lost the upload"),
        });
      }
      if (asked !== end && (asked <= start || asked > end)) {
        const message = `${end} bytes were sent and it has ${asked}`;
        void session.cancel();
        this.restart();
        throw new WayRefused(message, { cause: this.failure(message) });
      }
      this.detail(`${way} of bytes ${start}-${end - 1}: the registry has ${asked}`);
      this.reached(asked);
      return;
    }
    this.reached(end);
  }

  /** Decides what a failure means and prepares the next step; true when the blob is there after all. */
  private async recover(way: UploadWay, error: unknown): Promise<boolean> {
    const { signal } = this.options;
    signal.throwIfAborted();
    if (error instanceof WayRefused) throw error;
    // Told before anything else: a file that changed explains every other failure.
    await checkSource(this.source);
    if (this.sourceFailure !== undefined) error = this.sourceFailure;
    if (!(error instanceof OcibundleError)) throw error;
    const refusal = refusalOf(error);
    const status = refusal?.status;
    const finishing = way === "put" || this.at.has === this.descriptor.size;
    if (isFinal(error.code, status, finishing)) {
      const broken = way === "put" && status !== undefined && !this.sentTwice;
      if (error.code !== "integrity" || !(this.resumed || broken)) throw error;
      const sender = this.resumed ? "an earlier run" : "a broken request";
      this.detail(`what ${sender} had sent is not the blob: ${error.message}`);
      if (!this.resumed) this.sentTwice = true;
      this.restart();
      return false;
    }
    const reason = refusal?.message ?? error.message;
    const refused = () => new WayRefused(reason, { cause: error });
    switch (afterFailure({ way, status, repeated: this.repeated })) {
      case "throw":
        throw error;
      case "next way":
        throw refused();
      case "smaller": {
        const smaller = smallerChunk(this.chunk, this.minimumChunk);
        if (smaller === undefined) throw refused();
        this.detail(`chunks of ${this.chunk} bytes are too large: ${error.message}`);
        this.chunk = smaller;
        this.seen.largestChunk = smaller;
        await this.options.onLearned?.();
        await this.askSession();
        return false;
      }
      case "ask": {
        const position = this.at.has;
        await this.askSession();
        // It began where the registry is, so it is not its place that is wrong.
        if (this.session !== undefined && this.at.has === position) throw refused();
        this.repeated += 1;
        return false;
      }
      case "restart":
        this.repeated += 1;
        await this.pause(error);
        this.restart();
        return false;
      case "wait":
        // The next body is watched while it goes out: what was fast may be so no more.
        this.seen.rate = 0;
        await this.pause(error);
        if (way === "chunks")
          this.chunk = smallerChunk(this.chunk, this.minimumChunk) ?? this.chunk;
        if (
          way !== "put" &&
          this.sourceFailure === undefined &&
          this.stuck.failed(this.at.has, status)
        ) {
          this.detail(`the upload does not get past byte ${this.at.has}; starting it again`);
          void this.session?.cancel();
          this.restart();
          return false;
        }
        return this.afterSilence(way, error);
    }
  }

  /** After a request without an answer: the work may have been done all the same. */
  private async afterSilence(way: UploadWay, error: unknown): Promise<boolean> {
    const { digest, size } = this.descriptor;
    const { signal } = this.options;
    try {
      const finishing = way === "put" || this.at.has === size;
      if (finishing && (await this.repository.headBlob(digest, signal, size)) === size) {
        this.reached(size);
        return true;
      }
      if (way === "put") this.restart();
      else await this.askSession();
    } catch (asking) {
      signal.throwIfAborted();
      this.detail(`after "${messageOf(error)}": ${messageOf(asking)}`);
      // Distribution ends a session whose last request broke, and says so to the next one.
      if (isTransient(refusalOf(asking)?.status, "upload")) this.at.tell(this.at.has);
      else this.restart();
    }
    return false;
  }

  /** Goes on from where the registry says it is. */
  private async askSession(): Promise<void> {
    const has = await this.session?.offset(this.options.signal);
    if (has === undefined || has > this.descriptor.size) this.restart();
    else this.reached(has);
  }

  private restart(): void {
    this.session = undefined;
    this.resumed = false;
    this.notes?.drop();
    this.at.reached(0);
  }

  private reached(position: number): void {
    if (this.session !== undefined) this.note(this.session);
    if (!this.at.reached(position)) return;
    this.counter.reset();
    this.repeated = 0;
  }

  private async pause(error: OcibundleError): Promise<void> {
    this.counter.count();
    await this.counter.wait(error, this.options.signal);
  }

  private body(end: number): UploadBody {
    this.sourceFailure = undefined;
    const start = this.at.has;
    const slow = this.source.kind !== "file" || isSlow(end - start, this.seen.rate);
    return uploadBody(
      this.source,
      { start, end },
      {
        signal: this.options.signal,
        onPosition: slow ? (position) => this.at.tell(position) : undefined,
        onSourceError: (error) => (this.sourceFailure = error),
      },
    );
  }

  /** Does something that sends `bytes` bytes, learns the rate and resolves to the milliseconds it took. */
  private async timed(bytes: number, send: () => Promise<void>): Promise<number> {
    const start = performance.now();
    await send();
    const milliseconds = Math.max(1, performance.now() - start);
    // Small bodies measure the way to the registry and back, not its rate.
    if (bytes >= 1024 * 1024) this.seen.rate = bytes / milliseconds;
    return milliseconds;
  }

  /** The location is another one after each request on some registries. */
  private note({ location }: UploadSession): void {
    const { minimumChunk } = this;
    this.notes?.keep({ location, ...(minimumChunk === undefined ? {} : { minimumChunk }) });
  }

  private detail(message: string): void {
    this.options.emit?.({ type: "detail", message });
  }

  private failure(message: string): OcibundleError {
    return new OcibundleError("network", message, {
      subject: [this.repository.fullName, `upload of ${shortDigest(this.descriptor.digest)}`],
    });
  }
}

/** A blob that was whole and refused is wrong; a part of one may only have been sent in the wrong way. */
const isFinal = (code: ErrorCode, status: number | undefined, finishing: boolean): boolean =>
  code === "denied" || (code === "integrity" && (finishing || status === undefined));

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
