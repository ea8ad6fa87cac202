import { getCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { exchangeWith } from "./exchange.ts";
import { cachedShareWith } from "./page-cache.ts";
import { statRegular } from "./regular-file.ts";
import type { ConnectionOptions, Runtime } from "./types.ts";

// In a compiled binary every module's URL is that of the binary in a virtual file system, with the
// other entrypoints beside it, below the directory that the entrypoints have in common.
const compiled = /\/(?:\$bunfs|~BUN|%7EBUN)\//.test(import.meta.url);

/** Bun, from source or as a compiled binary. */
export const bunRuntime: Runtime = {
  sendsStreamLength: true,
  clonesFiles: true,
  hashesInWorkers: true,
  pausesTls: true,

  // A file's slice is sent with sendfile: the bytes never pass through JavaScript. Bun opens the file when it sends it,
  // and waits then for a FIFO: so it is looked at as shortly before as possible.
  async fileBody(path, start, end) {
    await statRegular(path);
    return Bun.file(path).slice(start, end);
  },

  connection,

  collectGarbage: () => Bun.gc(true),
  completeVerify: () => undefined,
  async exchange(a, b) {
    if (process.platform !== "linux") return false;
    const { dlopen } = await import("bun:ffi");
    return exchangeWith(
      (library) => {
        const args = ["i32", "ptr", "i32", "ptr", "u32"] as const;
        const { symbols } = dlopen(library, { renameat2: { args, returns: "i32" } });
        return (...given) => symbols.renameat2(...given);
      },
      [a, b],
    );
  },

  async cachedShare() {
    if (process.platform !== "linux") return undefined;
    const { dlopen } = await import("bun:ffi");
    return cachedShareWith((library) => {
      const { symbols } = dlopen(library, {
        mmap: { args: ["ptr", "usize", "i32", "i32", "i32", "i64"], returns: "usize" },
        mincore: { args: ["usize", "usize", "ptr"], returns: "i32" },
        munmap: { args: ["usize", "usize"], returns: "i32" },
      });
      return {
        mmap: (length, ...rest) => symbols.mmap(null, length, ...rest),
        mincore: symbols.mincore,
        munmap: symbols.munmap,
        isAddress: (address: number | bigint) => BigInt.asIntN(64, BigInt(address)) !== -1n,
      };
    });
  },

  startWorker: () =>
    new Worker(new URL(compiled ? "./runtime/worker.js" : "./worker.ts", import.meta.url), {
      type: "module",
    }),

  selfCommand: () =>
    compiled
      ? [process.execPath]
      : [process.execPath, fileURLToPath(new URL("../main.ts", import.meta.url))],
};

function connection({ tls, proxy }: ConnectionOptions): RequestInit {
  const init: BunFetchRequestInit & { timeout: false; decompress: false } = {
    // Bun goes on decompressing what nobody reads: a few kilobytes of a hostile answer fill the memory.
    decompress: false,
    // Bun's own limit of five minutes would end a registry's long check of a large blob.
    timeout: false,
    // The caller has looked at NO_PROXY already, and at HTTP_PROXY: Bun must not look again.
    proxy: proxy === undefined ? false : { url: proxy, respectNoProxy: false },
  };
  init.tls = {
    ...(tls?.ca === undefined ? {} : { ca: withOwn(tls.ca) }),
    ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls?.key === undefined ? {} : { key: tls.key }),
    // Said each time: left out, NODE_TLS_REJECT_UNAUTHORIZED decides.
    rejectUnauthorized: tls?.insecure !== true,
  };
  return init;
}

const joined = new WeakMap<readonly string[], string[]>();

/** `ca` takes the place of the runtime's own list, so that is put in front of it. */
function withOwn(ca: readonly string[]): string[] {
  const all = joined.get(ca) ?? [...getCACertificates("default"), ...ca];
  joined.set(ca, all);
  return all;
}
