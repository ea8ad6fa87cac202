import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import type { RawManifest } from "../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { createRegistry, type RegistryOptions } from "../../../src/registry/registry.ts";
import type { Repository, UploadBody, UploadSession } from "../../../src/registry/types.ts";
import {
  never,
  recordedClock,
  type ScriptedServer,
  serve,
  type SeenRequest,
} from "./scripted-server.ts";

export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

export const blobOf = (text: string): Descriptor => ({
  mediaType: "application/octet-stream",
  digest: digestOf(text),
  size: bytesOf(text).byteLength,
});

export const bodyOf = (text: string): UploadBody => ({
  size: bytesOf(text).byteLength,
  make: () => Promise.resolve(new Blob([text])),
});

export function manifestOf(
  content: object,
  mediaType: string = mediaTypes.ociManifest,
): RawManifest {
  const bytes = bytesOf(JSON.stringify({ schemaVersion: 2, mediaType, ...content }));
  return { mediaType, digest: digestOf(bytes), bytes };
}

/** A client that never really waits, for the repository `acme/llama` of a server. */
export const repositoryAt = (host: string, options: RegistryOptions = {}): Repository =>
  createRegistry(host, { clock: recordedClock(), ...options }).repository("acme/llama");

/** A server that answers as scripted, and the repository on it. */
export function scripted(
  answer: (request: SeenRequest, count: number) => Response | Promise<Response>,
): ScriptedServer & { repository: Repository } {
  const server = serve(answer);
  return { ...server, repository: repositoryAt(server.host) };
}

export async function openUpload(repository: Repository): Promise<UploadSession> {
  const started = await repository.startUpload({}, never);
  if (started.mounted) throw new Error("mounted without being asked");
  return started.session;
}

export const readAll = (body: ReadableStream<Uint8Array>): Promise<string> =>
  new Response(body).text();

/** An error as the specification has it. */
export const refusal = (status: number, code: string, message = "because"): Response =>
  Response.json({ errors: [{ code, message }] }, { status });
