/**
 * How hard weights are compressed, in each codec's own scale. Part of the format in effect: a blob that
 * is made again from its file must have the digest that the lock says.
 */
export const compressionLevels = { gzip: 6, zstd: 3 } as const;
