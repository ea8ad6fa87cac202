import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ByteRange } from "../../../src/oci/content.ts";

/** One request for the blob. */
export interface Asked {
  /** Counted from 0. */
  index: number;
  /** As asked for; the whole blob without a Range. */
  range: ByteRange;
  ranged: boolean;
}

/** How a request is answered where that is not as it should be. */
export interface Behaviour {
  /** In place of 206 or 200; without a body. */
  status?: number;
  /** 200 and the whole blob, whatever was asked. */
  ignoreRange?: boolean;
  contentRange?: string;
  /** The connection is closed after so many bytes of the body. */
  cutAfter?: number;
  /** Nothing more comes after so many bytes of the body. */
  stallAfter?: number;
  /** Nothing more comes after so many bytes of the body before it resolves. */
  hold?: { after: number; until: Promise<void> };
  /** Bytes sent after those that should be the last, with no Content-Length. */
  extra?: number;
  /** The answer just ends so many bytes before it should, with no Content-Length. */
  short?: number;
  /** Taken, expected the blob. */
  blob?: Uint8Array;
  /** Milliseconds between 64 KiB. */
  pause?: number;
  /** Milliseconds before the head. */
  delay?: number;
}

export interface BlobServer {
  host: string;
  asked: Asked[];
  /** Bytes of all ranges asked for. */
  bytesAsked(): number;
  /** Resolves when so many bytes have been sent in all, or since `forget`. */
  sent(bytes: number): Promise<void>;
  forget(): void;
  stop(): Promise<void>;
}

const step = 64 * 1024;

/** A registry with one blob that answers each GET as `behave` says. */
export async function serveBlob(
  blob: Uint8Array,
  behave: (asked: Asked) => Behaviour = () => ({}),
): Promise<BlobServer> {
  const asked: Asked[] = [];
  const tally = new Tally();
  const server = createServer((request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const ranged = first !== undefined && last !== undefined;
    const range = ranged
      ? { start: Number(first), end: Number(last) + 1 }
      : { start: 0, end: blob.length };
    const one = { index: asked.length, range, ranged };
    asked.push(one);
    void answer(response, one, blob, behave(one), tally);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    asked,
    bytesAsked: () => asked.reduce((sum, { range }) => sum + range.end - range.start, 0),
    sent: (bytes) => tally.reach(bytes),
    forget: () => (tally.bytes = 0),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  response: ServerResponse,
  { range, ranged }: Asked,
  blob: Uint8Array,
  behaviour: Behaviour,
  tally: Tally,
): Promise<void> {
  if (behaviour.delay !== undefined) await Bun.sleep(behaviour.delay);
  if (behaviour.status !== undefined) {
    response.writeHead(behaviour.status).end();
    return;
  }
  const { start, end } = behaviour.ignoreRange === true ? { start: 0, end: blob.length } : range;
  const extra = new Uint8Array(behaviour.extra ?? 0);
  const right = (behaviour.blob ?? blob).subarray(start, end - (behaviour.short ?? 0));
  const body = Buffer.concat([right, extra]);
  const partial = ranged && behaviour.ignoreRange !== true;
  response.writeHead(partial ? 206 : 200, {
    ...(body.length === end - start ? { "content-length": body.length } : {}),
    ...(partial
      ? { "content-range": behaviour.contentRange ?? `bytes ${start}-${end - 1}/${blob.length}` }
      : {}),
  });
  const closed = new Promise<void>((resolve) => void response.once("close", resolve));
  const stop = Math.min(behaviour.cutAfter ?? Infinity, behaviour.stallAfter ?? Infinity);
  for (let at = 0; at < Math.min(stop, body.length); at += step) {
    if (response.destroyed) return;
    const { hold } = behaviour;
    if (hold !== undefined && at >= hold.after) await hold.until;
    const part = body.subarray(at, Math.min(at + step, stop, body.length));
    const sent = response.write(part);
    tally.add(part.length);
    if (!sent) await Promise.race([drained(response), closed]);
    if (behaviour.pause !== undefined) await Bun.sleep(behaviour.pause);
  }
  if (stop >= body.length) response.end();
  else if (behaviour.cutAfter === stop) response.destroy();
}

/** Counts what is sent, and tells those who wait for it. */
class Tally {
  bytes = 0;
  private waiting: { bytes: number; resolve: () => void }[] = [];

  add(bytes: number): void {
    this.bytes += bytes;
    const there = this.waiting.filter((one) => one.bytes <= this.bytes);
    this.waiting = this.waiting.filter((one) => one.bytes > this.bytes);
    for (const { resolve } of there) resolve();
  }

  reach(bytes: number): Promise<void> {
    if (bytes <= this.bytes) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ bytes, resolve }));
  }
}

const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => void response.once("drain", resolve));
