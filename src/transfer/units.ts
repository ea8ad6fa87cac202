/** In bytes. */
export const KiB = 1024;

/** 1024 × 1024 bytes. */
export const MiB = 1024 * 1024;

/** A smaller body measures the round trip, not the rate; in bytes. */
export const leastMeasured = 1024 * 1024;
