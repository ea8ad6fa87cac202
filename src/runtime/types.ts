import type { CachedShare } from "./page-cache.ts";

/** What differs between Bun and Deno. Everything else uses `node:` modules or web standards. */
export interface Runtime {
  /** Whether a stream as a request's body keeps the Content-Length that was set by hand. */
  readonly sendsStreamLength: boolean;
  /** Whether `copyFile` of `node:fs` takes the flags that ask for a clone (FICLONE). */
  readonly clonesFiles: boolean;
  /** Whether hashing and writing in a worker cost less than they save while a body is received. */
  readonly hashesInWorkers: boolean;
  /**
   * A request or response body of bytes `start` up to `end` of a file. It has a Content-Length, can be
   * sent again, and goes out without passing through JavaScript where the runtime can do that.
   */
  fileBody(path: string, start: number, end: number): Promise<Blob>;
  /** Members to add to `fetch`'s init so that the connection is made as described. */
  connection(options: ConnectionOptions): RequestInit;
  /** Whether a paused TLS socket of `node:tls` stops reading: else a fast server would fill the memory. */
  readonly pausesTls: boolean;
  /** Frees what nobody refers to any more, where the runtime can be asked to. */
  collectGarbage(): void;
  /** Makes `verify` of node:crypto choose the hash where none is named, which libraries rely on. */
  completeVerify(): void;
  /**
   * Exchanges what two paths name, in one step (renameat2 of Linux). False where nothing was done: the system
   * can't, or it refused, and does not tell why.
   */
  exchange(a: string, b: string): Promise<boolean>;
  /** Tells what of a file is in the page cache (mincore of Linux); undefined where nothing tells. */
  cachedShare(): Promise<CachedShare | undefined>;
  /** Starts the hash and compress worker (see worker.ts). */
  startWorker(): Worker;
  /** How to start this very program again, arguments not included: the compiled binary, or runtime and script. */
  selfCommand(): [string, ...string[]];
}

/** How fetch connects. */
export interface ConnectionOptions {
  /**
   * PEM texts; `ca` in addition to the runtime's own. Certificates are checked unless `insecure`, whatever
   * the environment says.
   */
  tls?: { ca?: readonly string[]; cert?: string; key?: string; insecure?: boolean } | undefined;
  /** URL of an HTTP proxy; without it the connection is direct, whatever the environment says. */
  proxy?: string | undefined;
}
