import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveHttp } from "../../../src/harness/registry/instance/http-server.ts";
import { layered } from "../../../src/harness/registry/auth/middleware.ts";
import { noChunks } from "../../../src/harness/misbehave/personalities/uploads.ts";
import { createEmbeddedRegistry } from "../../../src/harness/registry/routes/registry.ts";
import { openWire } from "./counting-wire.ts";

export interface PushServer extends AsyncDisposable {
  /** `127.0.0.1:port` of the wire that leads to the registry. */
  host: string;
  /** Bytes that have come from clients, heads included. */
  bytesUp(): number;
  /** Resolves when so many bytes have come. */
  arrived(bytes: number): Promise<void>;
  /** Bytes of the largest chunk so far: one PATCH with Content-Range. */
  largestChunk(): number;
  /** The answer to a request that is not counted. */
  get(path: string): Promise<Response>;
}

export interface PushServerOptions {
  minChunkLength?: number;
  /** False: chunks are refused, as by some hosted registries. */
  chunks?: boolean;
}

/** The embedded registry behind a wire that counts. What a client that is gone has sent still arrives. */
export async function servePushes({
  minChunkLength,
  chunks = true,
}: PushServerOptions): Promise<PushServer> {
  const storage = mkdtempSync(join(tmpdir(), "ocibundle-pushes-"));
  const plain = await createEmbeddedRegistry({ storage, minChunkLength });
  const registry = layered(plain, chunks ? [] : [noChunks]);
  let largest = 0;
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle(request) {
      if (request.headers.has("content-range")) {
        largest = Math.max(largest, Number(request.headers.get("content-length") ?? 0));
      }
      return registry(request);
    },
  });
  const wire = await openWire(server.port);
  return {
    host: `127.0.0.1:${wire.port}`,
    bytesUp: () => wire.bytes("up"),
    arrived: (bytes) => wire.arrived("up", bytes),
    largestChunk: () => largest,
    get: (path) => registry(new Request(new URL(path, "http://registry.test"))),
    async [Symbol.asyncDispose]() {
      wire.stop();
      await server.stop();
      rmSync(storage, { recursive: true });
    },
  };
}
