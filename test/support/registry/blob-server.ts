import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answerBlob, type AskedRange, askedRange, type Behaviour, Tally } from "./blob-answer.ts";

/** One request for the blob. */
export interface Asked extends AskedRange {
  /** Counted from 0. */
  index: number;
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

/** A registry with one blob that answers each GET as `behave` says. */
export async function serveBlob(
  blob: Uint8Array,
  behave: (asked: Asked) => Behaviour = () => ({}),
): Promise<BlobServer> {
  const asked: Asked[] = [];
  const tally = new Tally();
  const server = createServer((request, response) => {
    const one = { index: asked.length, ...askedRange(request.headers.range, blob.length) };
    asked.push(one);
    void answerBlob(response, one, blob, behave(one), tally);
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
