import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { clearTimeout, setTimeout } from "node:timers";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import { privateMode, replaceFileWith } from "../../runtime/own-file.ts";
import { isTrusted } from "../../runtime/trusted-file.ts";
import type { Repository } from "../../registry/types.ts";
import { type HeldLock, tryLockFile } from "../../store/locks/lock-file.ts";
import { readRecord } from "../../store/cache/record-file.ts";
import { chunkSizes } from "./chunk-size.ts";

const noteVersion = 2;
const suffix = ".json";
const maxNoteBytes = 64 * 1024;

/** Registries give up what is not gone on with after a day, most of them sooner. */
const lifetimeMilliseconds = 24 * 60 * 60 * 1000;

const NoteSchema = v.object({
  version: v.literal(noteVersion),
  /** Which upload it is about: a note under the name of another one says nothing. */
  upload: v.string(),
  /** Where the session is. A secret on some registries. */
  location: v.pipe(v.string(), v.url()),
  /** `OCI-Chunk-Min-Length`, in bytes. */
  minimumChunk: v.optional(SizeSchema),
});

/** What is kept of an unfinished upload, so that the next run resumes it. */
export type UploadNote = v.InferOutput<typeof NoteSchema>;

/** What is noted of one upload while this process is at it. */
export interface UploadNotes {
  /** Of an earlier run, and not too old to be of use. */
  earlier(): Promise<UploadNote | undefined>;
  /** Notes where the upload is; of a small blob once it has taken a moment. */
  keep(note: Omit<UploadNote, "version" | "upload">): void;
  /** There is nothing to go on with: the upload is done or given up. */
  drop(): void;
  /** Notes what was kept last and lets go; that stays for another run. Nothing is noted from then on. */
  close(): void;
}

/** Where uploads are, so that a later run goes on with those that were broken off. */
export interface UploadJournal {
  /** Notes for one upload; undefined where nothing can be noted. While another process is at it, none are kept. */
  open(repository: Repository, blob: { digest: string; size: number }): UploadNotes | undefined;
}

/**
 * A journal in a directory of its own, which is made private: whoever knows where an upload is may add to
 * it. It only saves work, so that no method throws. What is too old is removed.
 */
export function uploadJournal(directory: string): UploadJournal {
  let ready: boolean | undefined;
  return {
    open(repository, { digest, size }) {
      ready ??= prepare(directory);
      if (!ready) return undefined;
      const key = `${repository.fullName}\n${digest}`;
      const name = createHash("sha256").update(key).digest("hex");
      return openNotes(directory, name, size > chunkSizes.first ? 0 : shortUpload);
    },
  };
}

/**
 * Nothing is written of a blob of one chunk that is sent in less than this, in milliseconds: a note is a file, a lock
 * and their removal, which of many parts take longer than sending again what a kill may lose.
 */
const shortUpload = 250;

/** `delay`: how long an upload goes on before it is noted, in milliseconds. */
function openNotes(directory: string, name: string, delay: number): UploadNotes {
  const base = join(directory, name);
  const path = `${base}${suffix}`;
  let lock: HeldLock | "refused" | undefined;
  let latest: Omit<UploadNote, "version" | "upload"> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isWritten = false;

  /** Whether this process has the upload for itself. */
  const isOurs = (): boolean => {
    try {
      lock ??= tryLockFile(`${base}.lock`) ?? "refused";
    } catch {
      // Without locks two processes could take one session for theirs.
      lock = "refused";
    }
    return lock !== "refused";
  };
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (latest === undefined || !isOurs()) return;
    const note: UploadNote = { version: noteVersion, upload: name, ...latest };
    latest = undefined;
    isWritten = true;
    try {
      const temporary = `${path}.new`;
      replaceFileWith(temporary, JSON.stringify(note), privateMode);
      renameSync(temporary, path);
    } catch {
      // A full disk here is no reason to end an upload.
    }
  };
  return {
    async earlier() {
      if (isOld(path) || !isOurs()) return undefined;
      // One that another user can have written is not read.
      const note = await readRecord(path, NoteSchema, maxNoteBytes);
      return note?.upload === name ? note : undefined;
    },
    keep(note) {
      latest = note;
      if (isWritten || delay === 0) write();
      else timer ??= setTimeout(write, delay).unref();
    },
    drop() {
      clearTimeout(timer);
      timer = undefined;
      latest = undefined;
      isWritten = false;
      // Without the lock nothing was read or written here.
      if (typeof lock === "object") remove(path);
    },
    close() {
      write();
      if (typeof lock === "object") lock.release();
      lock = "refused";
    },
  };
}

/**
 * Makes the directory and removes what is too old; false where there is no place for notes, or where others
 * can put notes there.
 */
function prepare(directory: string): boolean {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stats = lstatSync(directory);
    if (!stats.isDirectory() || !isTrusted(stats)) return false;
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (!isOld(path)) continue;
      // Letting go of a lock that nobody holds removes it.
      if (name.endsWith(".lock")) tryLockFile(path)?.release();
      else remove(path);
    }
    return true;
  } catch {
    return false;
  }
}

function isOld(path: string): boolean {
  const modified = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return modified === undefined || Date.now() - modified > lifetimeMilliseconds;
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It is removed when it is too old.
  }
}
