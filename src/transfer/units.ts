/** In bytes. */
export const KiB = 1024;

/** 1024 × 1024 bytes. */
export const MiB = 1024 * 1024;
