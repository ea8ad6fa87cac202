import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Repository, UploadSession } from "../../registry/types.ts";
import type { EmitEvent } from "../events.ts";
import { askSources, type MountAnswer, type MountMemory } from "./mount-memory.ts";
import type { UploadNotes } from "./upload-journal.ts";

/** How a session is found. */
export interface SessionOptions {
  signal: AbortSignal;
  emit?: EmitEvent | undefined;
  /** Repositories of the registry that may have the blob; none unless given. */
  mountFrom?: readonly string[] | undefined;
  /** What the registry answered to mounts before; learned from. */
  mounts?: MountMemory | undefined;
  /** Whether the blob goes into a session, such as a mount that is not done opens; it does unless this is false. */
  needsSession?: boolean | undefined;
  /** What an earlier run recorded of its session. */
  notes?: UploadNotes | undefined;
}

/** A session to send bytes into. */
export interface OpenedSession {
  session: UploadSession;
  /** How many bytes of the blob the registry has. */
  position: number;
  /** The smallest chunk but the last, in bytes, where the registry said one. */
  minimumChunk: number | undefined;
}

/**
 * The session that is to be used for a blob: that of an earlier run which the registry still knows,
 * else one that it offered in place of a mount, else none yet.
 */
export async function findSession(
  repository: Repository,
  descriptor: Descriptor,
  options: SessionOptions,
): Promise<OpenedSession | "mounted" | undefined> {
  const earlier = await resumeSession(repository, descriptor, options);
  if (earlier !== undefined) return earlier;
  const session = await mount(repository, descriptor, options);
  return session === undefined || session === "mounted" ? session : opened(session);
}

/** Opens a session without asking for a mount. Throws as `startUpload` does. */
export async function newSession(
  repository: Repository,
  signal: AbortSignal,
): Promise<OpenedSession> {
  const answer = await repository.startUpload({}, signal);
  if (!answer.mounted) return opened(answer.session);
  throw new OcibundleError(
    "network",
    `${repository.fullName}: mounted a blob that was not requested`,
  );
}

const opened = (session: UploadSession): OpenedSession => ({
  session,
  position: 0,
  minimumChunk: session.minimumChunk,
});

/** The session of an earlier run that the registry still knows, or undefined. */
export async function resumeSession(
  repository: Repository,
  { size }: Pick<Descriptor, "size">,
  { signal, emit, notes }: SessionOptions,
): Promise<OpenedSession | undefined> {
  const note = await notes?.earlier();
  if (note === undefined) return undefined;
  const tell = (message: string): void =>
    emit?.({ type: "detail", message: `${repository.fullName}: ${message}` });
  let reason: string;
  try {
    const session = await sessionAt(repository, note.location, signal);
    if (session === undefined)
      throw new Error("its URL is on a host that the registry does not use");
    const position = await session.offset(signal);
    if (position !== undefined && position > 0 && position <= size) {
      tell(`resuming an earlier upload at byte ${position}`);
      return { session, position, minimumChunk: note.minimumChunk };
    }
    reason = position === undefined ? "the registry has discarded it" : `it has ${position} bytes`;
  } catch (error) {
    signal.throwIfAborted();
    reason = error instanceof Error ? error.message : String(error);
  }
  tell(`cannot resume an earlier upload: ${reason}`);
  notes?.drop();
  return undefined;
}

/**
 * The session at a location that was noted, or undefined where that is neither on the registry's own host
 * nor on the one that the registry names for a new upload: bytes are sent to no other.
 */
async function sessionAt(
  repository: Repository,
  location: string,
  signal: AbortSignal,
): Promise<UploadSession | undefined> {
  const session = repository.resumeUpload(location);
  const { origin } = new URL(session.location);
  if (origin === repository.registry.origin) return session;
  const fresh = await newSession(repository, signal);
  const same = new URL(fresh.session.location).origin === origin;
  void fresh.session.cancel();
  return same ? session : undefined;
}

/** Mounts the blob from one of the candidate repositories, and sends nothing. Resolves to whether that is done. */
export async function mountOnly(
  repository: Repository,
  descriptor: Descriptor,
  options: SessionOptions,
): Promise<boolean> {
  const session = await mount(repository, descriptor, options);
  if (session === "mounted") return true;
  await session?.cancel();
  return false;
}

/**
 * Tries to mount the blob from the candidate repositories that are worth asking. A registry that does not mount gives
 * a session.
 */
async function mount(
  repository: Repository,
  descriptor: Descriptor,
  { signal, mountFrom = [], mounts, needsSession: isFree = true, emit }: SessionOptions,
): Promise<UploadSession | "mounted" | undefined> {
  let session: UploadSession | undefined;
  const ask = async (from: string): Promise<MountAnswer> => {
    const { digest } = descriptor;
    try {
      const answer = await repository.startUpload({ mount: { digest, from } }, signal);
      void session?.cancel();
      session = answer.mounted ? undefined : answer.session;
      return answer.mounted ? "mounted" : answer.refused === true ? "refused" : "declined";
    } catch (error) {
      signal.throwIfAborted();
      // A mount is a favour: what stands against it says nothing about an upload.
      const reason = error instanceof Error ? error.message : String(error);
      emit?.({ type: "detail", message: `no mount from "${from}": ${reason}` });
      return undefined;
    }
  };
  const candidates = mountFrom.filter((from) => from !== repository.name);
  const found = await askSources(mounts ?? new Map(), candidates, ask, { isFree });
  return found ? "mounted" : session;
}
