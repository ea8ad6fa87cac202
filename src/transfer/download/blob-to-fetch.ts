import type { Descriptor } from "../../oci/descriptor.ts";
import type { Original } from "./decode.ts";
import type { JournalPlace } from "./download-journal.ts";
import type { OpenRange } from "./range-work.ts";

/** A blob to be fetched. */
export interface BlobToFetch {
  descriptor: Descriptor;
  /** Asks for its bytes: a repository's `getBlob`. */
  open: OpenRange;
  /** The registry that it comes from: what is seen of one blob is held for the next. */
  host: string;
  /** What a person calls it in errors: `weight "llama-3.1-8b"`. */
  label: string;
  /** What it is called in progress. */
  item: string;
  /** Where it grows, and what is known of it for another run: on one file system, locked by the caller. */
  place: JournalPlace;
  /** The file it was made from, where that is wanted in place of the blob. */
  original?: Original | undefined;
  /** Where the original is written when it must be decompressed; replaced, on failure removed. */
  decoded?: string | undefined;
}
