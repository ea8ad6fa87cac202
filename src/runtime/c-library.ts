/** The names of the C library on Linux: glibc's, and musl's. */
export const cLibraries = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;
