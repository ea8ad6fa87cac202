import { resolve } from "node:path";
import { withContext } from "../../errors.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { modelPlace, type Place } from "../places/place.ts";
import type { Session } from "../session/session.ts";
import { openSigned } from "../trust/open-signed.ts";
import { type ContentsToPull, contentsToPull } from "./contents-to-pull.ts";
import type { PullSource } from "./pull-context.ts";
import type { PullRequest } from "./pull-request.ts";

/** A model that is pulled, signed as it must be; nothing of it was read but manifests and configs. */
export interface PulledModel extends ContentsToPull {
  place: Place;
  /** For messages and records. */
  name: string;
  source: PullSource;
  root: RawManifest;
  /** The directory that is pulled into, absolute. */
  dir: string;
  close(): Promise<void>;
}

/**
 * Opens the model that a pull is of; the caller closes it. Throws as `modelPlace`, `openSigned` and `contentsToPull`
 * do, the last with the pull as context.
 */
export async function openPull(
  session: Session,
  { source: text, path, output, requires }: PullRequest,
): Promise<PulledModel> {
  const place = await modelPlace(session, text);
  const { reader, root, name, close } = await openSigned(session, place, requires);
  try {
    const found = await contentsToPull({ reader, root, name }, path, session);
    const dir = resolve(session.cwd, output);
    return { ...found, place, name, source: { ...reader, name }, root, dir, close };
  } catch (error) {
    await close();
    throw withContext(`pull ${name}`, error);
  }
}
