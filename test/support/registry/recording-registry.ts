import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { serveHttp } from "../../../src/harness/registry/instance/http-server.ts";
import {
  createEmbeddedRegistry,
  type RegistryHandler,
} from "../../../src/harness/registry/routes/registry.ts";
import { afterwards } from "../afterwards.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** A request as it came. */
export interface Seen {
  method: string;
  path: string;
  query: URLSearchParams;
}

export interface RecordingRegistry {
  /** `127.0.0.1:port`. */
  host: string;
  seen: Seen[];
  /** Requests as `METHOD what`, in the order in which they were answered with success. */
  done: string[];
  /** Asks the registry behind it, unrecorded. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** Changes what happens to requests. */
  meddle(meddle: Meddle): void;
}

/** Stands before the registry: answers itself, or lets it answer. */
export type Meddle = (request: Request, next: RegistryHandler) => Promise<Response> | Response;

const pass: Meddle = (request, next) => next(request);

/** The embedded registry, with a record of what it is asked. It ends after the test. */
export async function recordingRegistry(): Promise<RecordingRegistry> {
  const storage = await temporaryDirectory();
  const handler = await createEmbeddedRegistry({ storage });
  let meddling = pass;
  const registry: RecordingRegistry = {
    host: "",
    seen: [],
    done: [],
    ask: (path, init) => handler(new Request(new URL(path, "http://registry.test"), init)),
    meddle: (meddle) => {
      meddling = meddle;
    },
  };
  const handle = async (request: Request): Promise<Response> => {
    const { pathname: path, searchParams: query } = new URL(request.url);
    const { method } = request;
    registry.seen.push({ method, path, query });
    const response = await meddling(request, handler);
    if (response.ok) registry.done.push(`${method} ${path.replace(/^\/v2\//, "")}`);
    return response;
  };
  // Who is interrupted leaves requests that are still being served: they write to the storage.
  const running = new Set<Promise<unknown>>();
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle(request) {
      const answer = handle(request);
      running.add(answer);
      void answer.then(
        () => running.delete(answer),
        () => running.delete(answer),
      );
      return answer;
    },
  });
  afterwards(async () => {
    await server.stop();
    await Promise.race([Promise.allSettled(running), Bun.sleep(2000)]);
  });
  registry.host = `127.0.0.1:${server.port}`;
  return registry;
}

/** How many blobs it was asked for by HEAD. */
export const blobHeads = ({ seen }: RecordingRegistry): number =>
  seen.filter(({ method, path }) => method === "HEAD" && path.includes("/blobs/")).length;

/** A blob of bytes put into a repository, described. */
export async function putBlob(
  registry: RecordingRegistry,
  repository: string,
  content: string | Uint8Array<ArrayBuffer>,
  mediaType: string,
): Promise<Descriptor> {
  const digest = digestOf(content);
  const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
  const response = await registry.ask(path, { method: "POST", body: content });
  if (response.status !== 201) throw new Error(await response.text());
  return { mediaType, digest, size: Buffer.byteLength(content) };
}

/** A manifest put under a tag or its digest, described. */
export async function putManifest(
  registry: RecordingRegistry,
  repository: string,
  tag: string | undefined,
  manifest: { mediaType: string; [member: string]: unknown },
): Promise<Descriptor> {
  const text = JSON.stringify(manifest);
  const digest = digestOf(text);
  const response = await registry.ask(`/v2/${repository}/manifests/${tag ?? digest}`, {
    method: "PUT",
    body: text,
    headers: { "content-type": manifest.mediaType },
  });
  if (response.status !== 201) throw new Error(await response.text());
  return { mediaType: manifest.mediaType, digest, size: Buffer.byteLength(text) };
}
