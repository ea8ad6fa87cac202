import { availableParallelism } from "node:os";
import { runtime } from "./current.ts";
import type { DigestStep, JobMessage, WorkerMessage } from "./worker-protocol.ts";

/** A hash that another thread computes over bytes that come in pieces. */
export interface StreamHash {
  /** Adds bytes, which must stay as they are until the promise resolves. */
  update(bytes: Uint8Array<SharedArrayBuffer>): Promise<void>;
  /** The hash of all bytes added, in hex. The stream has ended then. */
  digest(): Promise<string>;
  /** Ends a stream that nobody wants to know the hash of. */
  drop(): void;
}

interface Pending {
  resolve(hex: string | undefined): void;
  reject(error: unknown): void;
}

interface Member {
  streams: number;
  send(step: DigestStep): Promise<string | undefined>;
}

const maxMembers = 4;
const members: Member[] = [];
const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
let lastStream = 0;

/** Begins to hash a stream in a worker, of which there are as many as cores, four at most. */
export function startStreamHash(algorithm: "sha256" | "sha512"): StreamHash {
  const member = leastBusy();
  const stream = ++lastStream;
  let open = true;
  const end = (): void => {
    if (open) member.streams -= 1;
    open = false;
  };
  member.streams += 1;
  return {
    async update(bytes) {
      await member.send({ step: "update", stream, algorithm, bytes });
    },
    async digest() {
      end();
      const hex = await member.send({ step: "end", stream });
      if (hex === undefined) throw new Error("a worker lost the stream that it was hashing");
      return hex;
    },
    drop() {
      if (open) member.send({ step: "drop", stream }).catch(() => undefined);
      end();
    },
  };
}

function leastBusy(): Member {
  const free = members.toSorted((a, b) => a.streams - b.streams)[0];
  const most = Math.min(availableParallelism(), maxMembers);
  if (free !== undefined && (free.streams === 0 || members.length >= most)) return free;
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
    send: (step) =>
      new Promise((resolve, reject) => {
        pending.push({ resolve, reject });
        if (pending.length === 1) worker.ref?.();
        const message: JobMessage = { job: { kind: "digest", step }, cancel: never };
        worker.postMessage(message, []);
      }),
  };
  worker.unref?.();
  // Answers come in the order of the steps.
  worker.addEventListener("message", ({ data }: MessageEvent<WorkerMessage>) => {
    settle(({ resolve, reject }) => {
      if (data.type === "digested") resolve(data.hex);
      else reject(new Error(data.type === "failed" ? data.message : `unexpected "${data.type}"`));
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
