/** Blobs, each counted once, and their bytes together. */
export interface Amount {
  blobs: number;
  bytes: number;
}
