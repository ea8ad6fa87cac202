import { availableParallelism } from "node:os";
import { OcibundleError, errno, isLocal } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Problem, VerifyReport } from "../../report/verify.ts";
import { unreadableBecause } from "../../runtime/file-faults.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import { createWorkerPool, type WorkerPool } from "../../runtime/worker-pool.ts";
import { hashSource } from "../../store/hash-source.ts";
import type { Session } from "../session/session.ts";

/** Something that has a size and a digest, and where it should be. */
export interface Item {
  name: string;
  /** What progress calls its kind. */
  group: string;
  expected: { digest: Digest; size: number };
  /** Rejects with `not_found` where it is missing. */
  source(signal: AbortSignal): Promise<BlobSource>;
  /** Whether it is there with its size, without reading it. */
  exists(signal: AbortSignal): Promise<boolean>;
  /** Reads it in another way than from one source, and says all that is wrong with it. */
  verify?(signal: AbortSignal, onBytes: (bytes: number) => void): Promise<Problem[]>;
  /** After wrong bytes: whether others will come now. */
  reportCorrupt?: (() => boolean) | undefined;
}

/** What is verified, and what was found to be wrong with it before. */
export interface Subject {
  name: string;
  items: Item[];
  broken: Problem[];
}

/** Reads from a registry at once, while each core hashes one. */
export const readsAtOnce = Math.max(4, availableParallelism());

interface SubjectOptions {
  dir: string | null;
  quick: boolean;
  /** Finds what should not be there, afterwards. */
  extra?: () => Promise<string[]>;
}

/** Reads all that is to be verified. Never throws for what differs. */
export async function verifySubject(
  session: Session,
  { name, items, broken }: Subject,
  { dir, quick, extra }: SubjectOptions,
): Promise<VerifyReport> {
  await using stack = new AsyncDisposableStack();
  const pool = createWorkerPool(availableParallelism());
  stack.defer(() => pool.close());

  const expected = items.reduce((sum, item) => sum + item.expected.size, 0);
  session.emit({ type: "phase", phase: "verify", items: items.length, bytes: expected });
  const atOnce = withinOpenFiles(session.flags.concurrency ?? readsAtOnce, 4);
  let read = 0;
  const onBytes = (item: string, bytes: number): void => {
    read += bytes;
    session.emit({ type: "progress", phase: "verify", item, bytes });
  };
  const found = await parallel(items, atOnce, session.signal, (item, signal) =>
    verifyItem({ ...session, signal }, pool, item, quick, onBytes),
  );
  return {
    name,
    dir,
    quick,
    checked: {
      items: items.length + broken.filter(({ kind }) => kind !== "uncompared").length,
      bytes: read,
    },
    problems: [
      ...broken,
      ...found.flat(),
      ...((await extra?.()) ?? []).map((path) => ({
        item: path,
        kind: "extra" as const,
        detail: "not part of the model",
      })),
    ],
  };
}

async function verifyItem(
  session: Session,
  pool: WorkerPool,
  item: Item,
  quick: boolean,
  onBytes: (name: string, bytes: number) => void,
): Promise<readonly Problem[]> {
  const { name, group, expected } = item;
  session.signal.throwIfAborted();
  session.emit({ type: "start", phase: "verify", item: name, group, bytes: expected.size });
  const found = [(await problemsOf(session, pool, item, quick, onBytes)) ?? []].flat();
  const outcome = found.length === 0 ? {} : { outcome: "failed" as const };
  session.emit({ type: "done", phase: "verify", item: name, ...outcome });
  return found;
}

async function problemsOf(
  { signal }: Session,
  pool: WorkerPool,
  item: Item,
  quick: boolean,
  onBytes: (name: string, bytes: number) => void,
): Promise<Problem | readonly Problem[] | undefined> {
  const { name, expected } = item;
  const problem = (kind: Problem["kind"], detail: string): Problem => ({
    item: name,
    kind,
    detail,
  });
  try {
    if (quick) {
      const there = await item.exists(signal);
      return there ? undefined : problem("missing", "missing, or of another size");
    }
    if (item.verify !== undefined) {
      return await item.verify(signal, (bytes) => onBytes(name, bytes));
    }
    for (;;) {
      const source = await item.source(signal);
      const found = await hashSource(expected, source, {
        signal,
        pool,
        onBytes: (bytes) => onBytes(name, bytes),
      });
      if (found.size === expected.size && found.digest === expected.digest) return undefined;
      // Wrong bytes of a mirror: what the registry behind it has is what is asked about.
      if (item.reportCorrupt?.() === true) {
        onBytes(name, -found.size);
        continue;
      }
      return problem(
        "differs",
        found.size === expected.size
          ? `digest is ${found.digest}, expected ${expected.digest}`
          : `size is ${found.size} bytes, expected ${expected.size}`,
      );
    }
  } catch (error) {
    signal.throwIfAborted();
    if (isMissing(error)) return problem("missing", "does not exist");
    if (error instanceof OcibundleError && error.code === "integrity") {
      return problem("differs", error.message);
    }
    if (error instanceof OcibundleError) {
      if (!isLocal(error)) throw error;
      return problem("unreadable", error.message);
    }
    if (errno(error) === undefined) throw error;
    return problem("unreadable", unreadableBecause(error));
  }
}

const isMissing = (error: unknown): boolean =>
  (error instanceof OcibundleError && error.code === "not_found") || errno(error) === "ENOENT";

/** What is verified, and what is known to be wrong already. */
