import type { ImageSource } from "../../image/conversion/types.ts";
import type { Place } from "../places/place.ts";
import type { Session } from "../session/session.ts";
import type { VerifySettings } from "../session/verify-settings.ts";
import { requireSignature } from "./require-signature.ts";

/**
 * Opens a place whose root is signed as it must be, before anything but that manifest is read. Throws as
 * `requireSignature`, and as the place does.
 */
export async function openSigned(
  session: Session,
  place: Place,
  asked?: VerifySettings,
): Promise<ImageSource> {
  const source = await place.open();
  try {
    await requireSignature(session, place.reference ?? source.reader, source.root.digest, asked);
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}
