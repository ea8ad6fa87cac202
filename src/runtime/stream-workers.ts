import { createHash } from "node:crypto";
import { streamStep } from "./byte-streams.ts";
import { runtime } from "./current.ts";
import type {
  AppendPlace,
  JobMessage,
  SharedBytes,
  StreamEnd,
  StreamStep,
  WorkerMessage,
} from "./worker-protocol.ts";

/** What is done with a piece besides hashing it. */
interface PieceOptions {
  /** Where it is written. */
  place?: AppendPlace | undefined;
  /** What follows it at once: `close` where it is the last of its file, `digest` where it is the last of all. */
  end?: StreamEnd | undefined;
}

/** Bytes that come in pieces, and are hashed and written by another thread, in their order. */
export interface ByteStream {
  /** Whether nothing can be added any more. */
  readonly hasEnded: boolean;
  /**
   * Adds bytes, which must stay as they are until the promise resolves. Rejects with errno errors where they can't be
   * written: then the stream has lost its hash.
   */
  add(bytes: Uint8Array<SharedArrayBuffer>, options?: PieceOptions): Promise<void>;
  /** Closes the file that was written to last, where that is open. */
  close(): Promise<void>;
  /** The hash of all bytes added, in hex. The stream has ended then. */
  digest(): Promise<string>;
  /** Ends a stream that nobody wants to know the hash of. */
  drop(): void;
}

interface Pending {
  resolve(hex: string | undefined): void;
  reject(error: unknown): void;
}

/** A thread that streams are in. */
interface Member {
  streams: number;
  /** The numbers of the memory that it was sent. */
  known: Set<number>;
  send(step: StreamStep): Promise<string | undefined>;
}

/** More than cores are of use: each waits for the disk while it writes. */
const maxMembers = 4;
const members: Member[] = [];
const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
let lastStream = 0;

/**
 * Begins a stream in a thread that has the fewest; without an algorithm it is not hashed. One that is to work at the
 * same time as another is in another thread than that.
 */
export function startStream(
  algorithm: "sha256" | "sha512" | undefined,
  beside?: ByteStream,
): ByteStream {
  const stream = ++lastStream;
  let member: Member | undefined;
  let isFileOpen = false;
  let isEnded = false;
  let hex: string | undefined;
  const begin = (): Member => {
    const begun = leastBusy(beside === undefined ? undefined : memberOf.get(beside));
    begun.streams += 1;
    memberOf.set(self, begun);
    return begun;
  };
  const ended = (how: StreamEnd): void => {
    isFileOpen = false;
    if (how === "close" || isEnded) return;
    isEnded = true;
    if (member !== undefined) member.streams -= 1;
  };
  const self: ByteStream = {
    get hasEnded() {
      return isEnded;
    },
    async add(bytes, { place, end } = {}) {
      member ??= begin();
      if (place !== undefined) isFileOpen = true;
      if (end !== undefined) ended(end);
      hex = await member.send({
        step: "add",
        stream,
        bytes: sharedWith(member, bytes),
        algorithm,
        place,
        end,
      });
    },
    async close() {
      if (!isFileOpen) return;
      ended("close");
      await member?.send({ step: "close", stream });
    },
    async digest() {
      if (hex !== undefined) return hex;
      if (member === undefined) return createHash(algorithm ?? "sha256").digest("hex");
      ended("digest");
      hex = await member.send({ step: "digest", stream });
      if (hex === undefined) throw new Error("a worker lost the stream that it was hashing");
      return hex;
    },
    drop() {
      if (isEnded) return;
      ended("drop");
      member?.send({ step: "drop", stream }).catch(() => undefined);
    },
  };
  return self;
}

/** Memory of so many bytes is sent to a thread once, which keeps it: there is to be little of it, used again and again. */
const worthKeeping = 1024 * 1024;

const numbers = new WeakMap<SharedArrayBuffer, number>();
let lastNumber = 0;

function sharedWith(
  { known }: Member,
  { buffer, byteOffset: offset, byteLength: length }: Uint8Array<SharedArrayBuffer>,
): SharedBytes {
  if (buffer.byteLength < worthKeeping)
    return { memory: buffer, number: undefined, offset, length };
  const number = numbers.get(buffer) ?? ++lastNumber;
  numbers.set(buffer, number);
  const memory = known.has(number) ? undefined : buffer;
  known.add(number);
  return { memory, number, offset, length };
}

const memberOf = new WeakMap<ByteStream, Member>();

/** Where workers cost more than they save, all streams are in this thread. */
const here: Member = {
  streams: 0,
  known: new Set(),
  // Resolved, so that what it throws is a rejection.
  send: (step) => Promise.resolve(step).then(streamStep),
};

function leastBusy(other: Member | undefined): Member {
  if (!runtime.hashesInWorkers) return here;
  const free = members
    .filter((member) => member !== other)
    .toSorted((a, b) => a.streams - b.streams)[0];
  if (free !== undefined && (free.streams === 0 || members.length >= maxMembers)) return free;
  const member = startMember();
  members.push(member);
  return member;
}

function startMember(): Member {
  // Only while it has work does the worker keep the process open.
  const worker = runtime.startWorker() as Worker & { ref?(): void; unref?(): void };
  const pending: Pending[] = [];
  const settle = (how: (oldest: Pending) => void): void => {
    const oldest = pending.shift();
    if (pending.length === 0) worker.unref?.();
    if (oldest !== undefined) how(oldest);
  };
  const member: Member = {
    streams: 0,
    known: new Set(),
    send: (step) =>
      new Promise((resolve, reject) => {
        pending.push({ resolve, reject });
        if (pending.length === 1) worker.ref?.();
        const message: JobMessage = { job: { kind: "stream", step }, cancel: never };
        worker.postMessage(message, []);
      }),
  };
  worker.unref?.();
  // Answers come in the order of the steps.
  worker.addEventListener("message", ({ data }: MessageEvent<WorkerMessage>) => {
    settle(({ resolve, reject }) => {
      if (data.type === "streamed") resolve(data.hex);
      else reject(failureOf(data));
    });
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    members.splice(members.indexOf(member), 1);
    const error = new Error(`a worker failed: ${event.message}`);
    while (pending.length > 0) settle(({ reject }) => reject(error));
  });
  return member;
}

const failureOf = (answer: WorkerMessage): Error =>
  answer.type === "failed"
    ? Object.assign(
        new Error(answer.message),
        answer.code === undefined ? {} : { code: answer.code },
      )
    : new Error(`unexpected "${answer.type}"`);
