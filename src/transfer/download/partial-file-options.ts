import type { ByteRange } from "../../oci/content.ts";
import type { RecentFile } from "./recent-blocks.ts";

/** What is told about a file while it grows, and how it may begin. */
export interface PartialFileOptions {
  /** Called with bytes newly written, and at once with those of an earlier run, which are `resumed`. */
  onBytes?: ((bytes: number, resumed?: boolean) => void) | undefined;
  /** Called when everything up to `front` is written. */
  onFront?: ((front: number) => void) | undefined;
  /**
   * Makes the file where no former run has left one, from something that is alike, and says which ranges
   * of it are right; undefined where it made none.
   */
  begin?: ((path: string) => Promise<ByteRange[] | undefined>) | undefined;
  /** Keeps blocks in memory that were just written. */
  recent?: RecentFile | undefined;
}

/** How a file begins to grow. */
export interface GrowingOptions extends PartialFileOptions {
  /** What is in the file already. */
  known: readonly ByteRange[];
  /** Whether a former run has left that. */
  resumed: boolean;
}
