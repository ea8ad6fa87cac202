import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveHttp } from "../../../src/harness/registry/instance/http-server.ts";
import {
  createEmbeddedRegistry,
  type RegistryHandler,
} from "../../../src/harness/registry/routes/registry.ts";
import type { Seen } from "./recording-registry.ts";

/** A request as it came, with what says which part of a blob it brings. */
export interface SeenUpload extends Seen {
  contentRange: string | null;
  contentLength: string | null;
}

/** Stands before the registry as `Meddle` does; `nth`: how many requests of that method came before this one. */
export type MeddleNth = (
  request: Request,
  next: RegistryHandler,
  nth: number,
) => Promise<Response> | Response;

export interface UploadRegistry {
  /** `127.0.0.1:port`, behind the wire that is cut. */
  host: string;
  seen: SeenUpload[];
  /** Bytes that clients have sent, heads included. */
  bytesUp(): number;
  /** Cuts every connection when clients will have sent so many bytes more. */
  cutAfter(bytes: number): void;
  stop(): Promise<void>;
}

/** The embedded registry behind `meddle` and a wire that can be cut. */
export async function serveUploads(
  meddle: MeddleNth = (request, next) => next(request),
  options: { minChunkLength?: number } = {},
): Promise<UploadRegistry> {
  const storage = mkdtempSync(join(tmpdir(), "ocibundle-uploads-"));
  const registry = await createEmbeddedRegistry({ storage, ...options });
  const seen: SeenUpload[] = [];
  const counts = new Map<string, number>();
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    async handle(request) {
      const url = new URL(request.url);
      seen.push({
        method: request.method,
        path: url.pathname,
        query: url.searchParams,
        contentRange: request.headers.get("content-range"),
        contentLength: request.headers.get("content-length"),
      });
      const nth = counts.get(request.method) ?? 0;
      counts.set(request.method, nth + 1);
      return meddle(request, registry, nth);
    },
  });
  const wire = await openWire(server.port);
  return {
    host: `127.0.0.1:${wire.port}`,
    seen,
    bytesUp: wire.bytesUp,
    cutAfter: wire.cutAfter,
    async stop() {
      wire.stop();
      await server.stop();
      rmSync(storage, { recursive: true });
    },
  };
}

async function openWire(target: number) {
  let up = 0;
  let cutAt = Infinity;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const inner = connect(target, "127.0.0.1");
    const end = (): void => {
      client.destroy();
      inner.destroy();
      open.delete(client);
    };
    open.add(client);
    client.on("data", (chunk) => {
      up += chunk.length;
      if (up >= cutAt) {
        cutAt = Infinity;
        inner.write(chunk, end);
        return;
      }
      if (!inner.write(chunk)) {
        client.pause();
        inner.once("drain", () => void client.resume());
      }
    });
    inner.on("data", (chunk) => void client.write(chunk));
    for (const socket of [client, inner]) {
      socket.on("error", end);
      socket.on("close", end);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    bytesUp: () => up,
    cutAfter(bytes: number) {
      cutAt = up + bytes;
    },
    stop() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
