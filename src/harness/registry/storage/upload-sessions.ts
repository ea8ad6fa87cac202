import { open } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestAlgorithm, digestHex, hasherFor } from "../../../oci/digest.ts";
import { createFile, readableMode } from "../../../runtime/own-file.ts";
import { startStream } from "../../../runtime/stream-workers.ts";
import type { BodyReader } from "./body-reader.ts";
import { readChunks } from "./read-chunks.ts";
import { appendBody, type AppendOptions, type Received } from "./append.ts";
import { fileSize, removed, removeStale, withDirectory } from "./files.ts";
import { placer } from "./place-file.ts";
import { repositoriesDirectory } from "./paths.ts";
import { repositoryNames, repositoryParts } from "./repositories.ts";

type Algorithm = "sha256" | "sha512";

/** An upload in progress: a file that grows. It outlives the process; its running hash does not. */
export interface UploadSession {
  readonly id: string;
  readonly path: string;
  /** Bytes received so far. */
  readonly size: number;
  /** Whether a chunk came that only the last one may be as short as. Forgotten with the process. */
  hadShortChunk: boolean;
}

/** The uploads in progress of a storage. */
export interface UploadSessions {
  /** Opens a session; `algorithm` is what its content will be checked against, as far as is known. */
  create(repository: string, algorithm?: Algorithm): Promise<UploadSession>;
  /** A session that nobody will ask for: its file is made with its first bytes. */
  createUnnamed(repository: string, algorithm: Algorithm): UploadSession;
  find(repository: string, id: string): Promise<UploadSession | undefined>;
  /** Makes the session the caller's alone until the function it returns is called; undefined when it is another's. */
  claim(session: UploadSession): (() => void) | undefined;
  /** Resolves when nobody has the session for his alone, or after `milliseconds`. */
  whenFree(session: UploadSession, milliseconds: number): Promise<void>;
  /** Appends a body; what came before it broke off is kept. */
  append(
    session: UploadSession,
    body: BodyReader,
    options: Pick<AppendOptions, "length" | "isLast">,
  ): Promise<void>;
  /** Cuts the file back to its first `size` bytes. */
  cut(session: UploadSession, size: number): Promise<void>;
  /** Whether all that was received has this digest. */
  check(session: UploadSession, digest: Digest): Promise<boolean>;
  /** Forgets a session whose file was moved away. */
  forget(session: UploadSession): void;
  /** Forgets the session; its file is removed where it still is. */
  remove(session: UploadSession): Promise<void>;
}

interface Session extends UploadSession, Received {
  size: number;
  /** While it is somebody's alone: resolves when it is no more. */
  busy: Promise<void> | undefined;
  algorithm: Algorithm;
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Sessions whose running hash is kept in memory; older ones are hashed from their file at the end. */
const maxRunning = 1024;

/** The sessions in a storage at `root`. Touches no file by itself. */
export function openUploadSessions(root: string): UploadSessions {
  const running = new Map<string, Session>();
  const sessionPath = (repository: string, id: string): string =>
    join(repositoriesDirectory(root), repository, repositoryParts.uploads, id);
  const keep = (session: Session): Session => {
    // It is wanted when the bytes are there: until then there is time.
    placer.start();
    running.set(session.path, session);
    if (running.size > maxRunning) {
      for (const [path, { busy, hash }] of running) {
        if (busy !== undefined || path === session.path) continue;
        hash?.drop();
        running.delete(path);
        break;
      }
    }
    return session;
  };
  const create = async (session: Session): Promise<void> => {
    await withDirectory(session.path, async () =>
      (await createFile(session.path, readableMode)).close(),
    );
    session.isNew = false;
  };
  const own = (session: UploadSession): Session => session as Session;
  const forget = (session: UploadSession): void => {
    own(session).hash?.drop();
    running.delete(session.path);
  };

  return {
    async create(repository, algorithm = "sha256") {
      const id = crypto.randomUUID();
      const path = sessionPath(repository, id);
      const hash = startStream(algorithm);
      const session = { id, path, size: 0, busy: undefined, hadShortChunk: false, algorithm, hash };
      await create(session);
      return keep(session);
    },

    createUnnamed(repository, algorithm) {
      const id = crypto.randomUUID();
      const path = sessionPath(repository, id);
      const hash = startStream(algorithm);
      const session = { id, path, size: 0, busy: undefined, hadShortChunk: false, algorithm, hash };
      return keep({ ...session, isNew: true });
    },

    async find(repository, id) {
      if (!idPattern.test(id)) return undefined;
      const path = sessionPath(repository, id);
      const known = running.get(path);
      if (known !== undefined) return known;
      const size = await fileSize(path);
      if (size === undefined) return undefined;
      const hash = size === 0 ? startStream("sha256") : undefined;
      // Another request may have found it meanwhile.
      const before = running.get(path);
      if (before !== undefined) return before;
      const found = { id, path, size, busy: undefined, hadShortChunk: false, hash };
      return keep({ ...found, algorithm: "sha256" });
    },

    claim(given) {
      const session = own(given);
      if (session.busy !== undefined) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      session.busy = promise;
      return () => {
        session.busy = undefined;
        resolve();
      };
    },

    async whenFree(given, milliseconds) {
      const { busy } = own(given);
      if (busy === undefined) return;
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, milliseconds);
      await Promise.race([busy, late]);
      clearTimeout(timer);
    },

    async append(given, body, options) {
      await appendBody(own(given).path, body, own(given), options);
    },

    async cut(given, size) {
      const session = own(given);
      const file = await open(session.path, "r+");
      try {
        await file.truncate(size);
      } finally {
        await file.close();
      }
      session.size = size;
      session.hash?.drop();
      session.hash = size === 0 ? startStream(session.algorithm) : undefined;
    },

    async check(given, digest) {
      const session = own(given);
      if (session.isNew === true) await create(session);
      const { hash } = session;
      session.hash = undefined;
      if (hash !== undefined && session.algorithm === digestAlgorithm(digest)) {
        return (await hash.digest()) === digestHex(digest);
      }
      hash?.drop();
      const again = hasherFor(digest);
      await using file = await open(session.path, "r");
      for await (const chunk of readChunks(file, session.size)) again.update(chunk);
      return again.digest("hex") === digestHex(digest);
    },

    forget,

    async remove(session) {
      forget(session);
      await removed(session.path);
    },
  };
}

/** Removes uploads that nobody has written to since `before` (milliseconds since 1970). */
export async function removeStaleUploads(root: string, before: number): Promise<void> {
  for await (const name of repositoryNames(root)) {
    await removeStale(join(repositoriesDirectory(root), name, repositoryParts.uploads), before);
  }
}
