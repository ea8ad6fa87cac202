import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync, zstdCompressSync } from "node:zlib";
import {
  emptyConfig,
  emptyConfigBytes,
  weightsManifest,
} from "../../../src/model/format/weights-artifact.ts";
import { layerTypes, type WeightEntry } from "../../../src/model/format/weight-entry.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import type { RawManifest } from "../../../src/oci/manifest.ts";

/** A weight as a test wants it in a model. */
export interface Weight {
  name: string;
  bytes: Uint8Array;
  compression?: keyof typeof layerTypes;
  dest?: string;
}

/** A model in memory: what a registry would have of it. */
export interface Model {
  weights: readonly Required<Weight>[];
  manifest: RawManifest;
  /** By digest. */
  blobs: ReadonlyMap<string, Uint8Array>;
  /** Bytes of all weights' blobs. */
  size: number;
}

const compress = {
  none: (bytes: Uint8Array) => bytes,
  gzip: (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }),
  zstd: (bytes: Uint8Array) => zstdCompressSync(bytes),
} as const;

/** Makes a model of weights; `change` says otherwise of an entry than it is, after its blob was made. */
export function makeModel(
  weights: readonly Weight[],
  change: (entry: WeightEntry) => WeightEntry = (entry) => entry,
): Model {
  const whole = weights.map(
    ({ name, bytes, compression = "none", dest = `/src/weights/${name}` }) => {
      return { name, bytes, compression, dest };
    },
  );
  const blobs = new Map<string, Uint8Array>([[emptyConfig.digest, emptyConfigBytes]]);
  const entries = whole.map(({ name, bytes, compression, dest }) => {
    const blob = compress[compression](bytes);
    const digest = digestOf(blob);
    blobs.set(digest, blob);
    return change({
      name,
      dest,
      digestOriginal: digestOf(bytes) as WeightEntry["digest"],
      digest: digest as WeightEntry["digest"],
      size: blob.length,
      sizeUncompressed: bytes.length,
      mediaType: layerTypes[compression],
    });
  });
  const all = [...blobs.values()].reduce((sum, { length }) => sum + length, 0);
  const size = all - emptyConfig.size;
  return { weights: whole, manifest: weightsManifest(entries), blobs, size };
}

/** One GET of a blob. */
export interface Asked {
  /** Counted from 0, of all blobs. */
  index: number;
  digest: string;
  range: { start: number; end: number };
  ranged: boolean;
  authorization: string | undefined;
}

/** How a GET of a blob is answered where that is not as it should be. */
export interface Behaviour {
  /** In place of 206 or 200, without a body. */
  status?: number;
  headers?: Record<string, string>;
  /** 200 and the whole blob, whatever was asked. */
  ignoreRange?: boolean;
  contentRange?: string;
  /** The connection is closed after so many bytes of the body. */
  cutAfter?: number;
  /** Nothing more comes after so many bytes of the body. */
  stallAfter?: number;
  /** Bytes sent after those that should be the last. */
  extra?: number;
  /** The answer just ends so many bytes before it should. */
  short?: number;
  /** Taken, expected the blob. */
  blob?: Uint8Array;
  /** Milliseconds between 64 KiB. */
  pause?: number;
}

export interface ModelServer {
  host: string;
  /** What to pull. */
  reference: string;
  asked: Asked[];
  /** Requests for manifests. */
  manifestsAsked(): number;
  /** Bytes of all ranges of blobs asked for. */
  bytesAsked(): number;
  /** Bytes of blobs that were handed to the network. */
  bytesSent(): number;
  /** Resolves when so many bytes of blobs have gone out. */
  sent(bytes: number): Promise<void>;
  /** From so many bytes of blobs on nothing more goes out, on no connection; it stays open. */
  holdAfter(bytes: number): void;
  /** Forgets what was asked and sent. */
  forget(): void;
  behave: (asked: Asked) => Behaviour;
  [Symbol.asyncDispose](): Promise<void>;
}

const step = 64 * 1024;

/** Everything a server has in flight and was asked. */
interface Books {
  asked: Asked[];
  manifests: number;
  sent: number;
  hold: number;
  waiting: { bytes: number; resolve(): void }[];
}

/** A registry with one model, `acme/model:v1`, whose blobs are answered for as `behave` says. */
export async function serveModel(
  model: Model,
  behave: (asked: Asked) => Behaviour = () => ({}),
): Promise<ModelServer> {
  const books: Books = { asked: [], manifests: 0, sent: 0, hold: Infinity, waiting: [] };
  const server = createServer((request, response) => {
    void answer(request, response, model, books, self);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const self: ModelServer = {
    host,
    reference: `${host}/acme/model:v1`,
    behave,
    get asked() {
      return books.asked;
    },
    manifestsAsked: () => books.manifests,
    bytesAsked: () => books.asked.reduce((sum, { range }) => sum + range.end - range.start, 0),
    bytesSent: () => books.sent,
    sent: (bytes) =>
      new Promise((resolve) => {
        if (books.sent >= bytes) resolve();
        else books.waiting.push({ bytes, resolve });
      }),
    holdAfter(bytes) {
      books.hold = bytes;
    },
    forget() {
      books.asked = [];
      books.manifests = 0;
      books.sent = 0;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return self;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { manifest, blobs }: Model,
  books: Books,
  self: ModelServer,
): Promise<void> {
  const [, kind, what = ""] =
    /^\/v2\/acme\/model\/(manifests|blobs)\/([^?]+)/.exec(request.url ?? "") ?? [];
  if (kind === "manifests" && (what === "v1" || what === manifest.digest)) {
    books.manifests += 1;
    response.writeHead(200, {
      "content-type": manifest.mediaType,
      "content-length": manifest.bytes.length,
      "docker-content-digest": manifest.digest,
    });
    response.end(request.method === "HEAD" ? undefined : manifest.bytes);
    return;
  }
  const blob = kind === "blobs" ? blobs.get(what) : undefined;
  if (blob === undefined) {
    response.writeHead(404).end();
    return;
  }
  if (request.method === "HEAD") {
    response.writeHead(200, { "content-length": blob.length }).end();
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const ranged = first !== undefined && last !== undefined;
  const asked: Asked = {
    index: books.asked.length,
    digest: what,
    ranged,
    range: ranged
      ? { start: Number(first), end: Number(last) + 1 }
      : { start: 0, end: blob.length },
    authorization: request.headers.authorization,
  };
  books.asked.push(asked);
  await sendBlob(response, asked, blob, self.behave(asked), books);
}

async function sendBlob(
  response: ServerResponse,
  { range, ranged }: Asked,
  blob: Uint8Array,
  behaviour: Behaviour,
  books: Books,
): Promise<void> {
  const { status, headers, extra = 0, short = 0, pause } = behaviour;
  if (status !== undefined) {
    response.writeHead(status, headers).end();
    return;
  }
  const partial = ranged && behaviour.ignoreRange !== true;
  const { start, end } = partial ? range : { start: 0, end: blob.length };
  const right = (behaviour.blob ?? blob).subarray(start, end - short);
  const length = right.length + extra;
  response.writeHead(partial ? 206 : 200, {
    ...(length === end - start ? { "content-length": length } : {}),
    ...(partial
      ? { "content-range": behaviour.contentRange ?? `bytes ${start}-${end - 1}/${blob.length}` }
      : {}),
    ...headers,
  });
  const closed = eventOf(response, "close");
  const stop = Math.min(behaviour.cutAfter ?? Infinity, behaviour.stallAfter ?? Infinity, length);
  for (let at = 0; at < stop; at += step) {
    if (response.destroyed) return;
    if (books.sent >= books.hold) return closed;
    const until = Math.min(at + step, stop);
    const chunk =
      until <= right.length
        ? right.subarray(at, until)
        : Buffer.concat([right.subarray(at), Buffer.alloc(until - Math.max(at, right.length))]);
    // Listened for before the pause, in which it may come.
    const drained = response.write(chunk) ? undefined : eventOf(response, "drain");
    note(books, until - at);
    if (pause !== undefined) await Bun.sleep(pause);
    if (drained !== undefined) await Promise.race([drained, closed]);
  }
  if (stop === length) response.end();
  else if (behaviour.cutAfter === stop) response.destroy();
}

const eventOf = (response: ServerResponse, name: "drain" | "close"): Promise<void> =>
  new Promise((resolve) => void response.once(name, resolve));

function note(books: Books, bytes: number): void {
  books.sent += bytes;
  const reached = books.waiting.filter((one) => one.bytes <= books.sent);
  books.waiting = books.waiting.filter((one) => one.bytes > books.sent);
  for (const { resolve } of reached) resolve();
}
