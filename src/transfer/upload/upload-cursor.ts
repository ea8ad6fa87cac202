import type { UploadSession } from "../../registry/types.ts";
import type { UploadNotes } from "./upload-journal.ts";
import { uploadPosition } from "./upload-position.ts";
import type { OpenedSession } from "./upload-session.ts";

/** How far the upload of one blob is. Sizes and positions are in bytes. */
export interface UploadCursor {
  /** Undefined when a new session must be opened. */
  readonly session: UploadSession | undefined;
  /** What the registry has. */
  readonly position: number;
  /** The smallest chunk but the last, where the registry named one. */
  readonly minimumChunk: number | undefined;
  /** Whether the session may have bytes that this run has not sent, or not in this way. */
  resumed: boolean;
  /** Goes on in a session, from its position. */
  use(opened: OpenedSession): void;
  /** The registry has so many bytes now. */
  moveTo(position: number): void;
  /** So many bytes were sent, whatever became of them: for progress only. */
  tell(position: number): void;
  /** Asks the session for its position; drops a session that is gone, or has more than `size`. */
  sync(size: number, signal: AbortSignal): Promise<void>;
  /** Drops the session and what was noted of it: the upload starts again. */
  drop(): void;
}

/** What is told when an upload moves on. */
export interface CursorOptions {
  /** Where the session is recorded for a later run; undefined for a blob that is not. */
  notes: UploadNotes | undefined;
  /** Further bytes were sent; negative when some must be sent again. `resumed`: an earlier run sent them. */
  onBytes: ((bytes: number, resumed?: boolean) => void) | undefined;
  /** The registry has more than it ever had before. */
  onProgress: () => void;
}

/** A cursor without a session yet. */
export function uploadCursor({ notes, onBytes, onProgress }: CursorOptions): UploadCursor {
  const at = uploadPosition(onBytes);
  let session: UploadSession | undefined;
  let minimumChunk: number | undefined;

  const moveTo = (position: number): void => {
    // The location is another one after each request on some registries.
    if (session !== undefined) {
      const { location } = session;
      notes?.keep({ location, ...(minimumChunk === undefined ? {} : { minimumChunk }) });
    }
    if (at.reached(position)) onProgress();
  };
  const cursor: UploadCursor = {
    get session() {
      return session;
    },
    get position() {
      return at.has;
    },
    get minimumChunk() {
      return minimumChunk;
    },
    resumed: false,
    use(next) {
      ({ session, minimumChunk } = next);
      cursor.resumed = next.position > 0;
      if (cursor.resumed) at.resume(next.position);
      moveTo(next.position);
    },
    moveTo,
    tell: (position) => at.tell(position),
    async sync(size, signal) {
      const has = await session?.offset(signal);
      if (has === undefined || has > size) cursor.drop();
      else moveTo(has);
    },
    drop() {
      session = undefined;
      cursor.resumed = false;
      notes?.drop();
      at.reached(0);
    },
  };
  return cursor;
}
