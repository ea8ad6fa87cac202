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
import {
  answerBlob,
  type AskedRange,
  askedRange,
  type Behaviour,
  Tally,
} from "../registry/blob-answer.ts";

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
export interface Asked extends AskedRange {
  /** Counted from 0, of all blobs. */
  index: number;
  digest: string;
  authorization: string | undefined;
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

/** Everything a server has in flight and was asked. */
interface Books {
  asked: Asked[];
  manifests: number;
  tally: Tally;
}

/** A registry with one model, `acme/model:v1`, whose blobs are answered for as `behave` says. */
export async function serveModel(
  model: Model,
  behave: (asked: Asked) => Behaviour = () => ({}),
): Promise<ModelServer> {
  const books: Books = { asked: [], manifests: 0, tally: new Tally() };
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
    bytesSent: () => books.tally.bytes,
    sent: (bytes) => books.tally.reach(bytes),
    holdAfter(bytes) {
      books.tally.most = bytes;
    },
    forget() {
      books.asked = [];
      books.manifests = 0;
      books.tally.bytes = 0;
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
  const asked: Asked = {
    index: books.asked.length,
    digest: what,
    ...askedRange(request.headers.range, blob.length),
    authorization: request.headers.authorization,
  };
  books.asked.push(asked);
  await answerBlob(response, asked, blob, self.behave(asked), books.tally);
}
