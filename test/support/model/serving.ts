import { createHash } from "node:crypto";
import { type ServeRequest, serveModels } from "../../../src/model/serve/serve.ts";
import { afterwards } from "../afterwards.ts";
import type { Job } from "./job.ts";
import type { RecordingRegistry } from "../registry/recording-registry.ts";

/** Serves the models of a registry until the test ends. */
export async function startServing(
  job: Job,
  registry: RecordingRegistry,
  request: Partial<ServeRequest> = {},
): Promise<{ endpoint: string; stop(): Promise<number | undefined> }> {
  const stopping = new AbortController();
  const endpoint = Promise.withResolvers<string>();
  const served = serveModels(
    { ...job, signal: stopping.signal },
    {
      map: [],
      registry: registry.host,
      tag: undefined,
      listen: "127.0.0.1:0",
      tokenFile: undefined,
      anonymous: false,
      hostNames: [],
      refresh: 0,
      offline: false,
      root: undefined,
      useCache: true,
      list: false,
      command: [],
      ...request,
    },
    (report) => endpoint.resolve(report.endpoint),
  );
  served.catch(endpoint.reject);
  const stop = async (): Promise<number | undefined> => {
    stopping.abort();
    return served;
  };
  afterwards(stop);
  return { endpoint: await endpoint.promise, stop };
}

export const url = (endpoint: string, file: string, revision = "main"): string =>
  `${endpoint}/acme/tiny/resolve/${revision}/${file}`;

export const hashed = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

export const blobRequests = ({ seen }: RecordingRegistry): string[] =>
  seen.filter(({ path }) => path.includes("/blobs/sha256:")).map(({ path }) => path);

/** How many bytes came before the answer ended or broke. */
export async function received(answer: Response): Promise<{ bytes: number; whole: boolean }> {
  let bytes = 0;
  try {
    for await (const chunk of answer.body ?? []) bytes += chunk.byteLength;
    return { bytes, whole: true };
  } catch {
    return { bytes, whole: false };
  }
}
