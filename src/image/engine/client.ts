import { Buffer } from "node:buffer";
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import * as v from "valibot";
import { errno, OcibundleError } from "../../errors.ts";
import type { EngineEndpoint } from "./endpoint.ts";

/** An engine's answer with a status below 400; its body must be read or destroyed. */
export interface EngineAnswer {
  body: AsyncIterable<Uint8Array>;
  /** The newest version of the API that the engine speaks, as "1.41". */
  apiVersion: string | undefined;
}

/** The API of a Docker engine, or of one that speaks as it does (docs.docker.com/reference/api/engine). */
export interface EngineClient {
  endpoint: EngineEndpoint;
  /** Asks for `path`, which begins with a slash. Throws `not_found`, `denied`, `network`. */
  get(path: string, signal: AbortSignal): Promise<EngineAnswer>;
  /** Sends a body, or none, as the engine takes it. Throws what the body throws too. */
  post(path: string, body: EngineBody | undefined, signal: AbortSignal): Promise<EngineAnswer>;
}

/** What is sent to an engine. */
export interface EngineBody {
  type: string;
  /** In bytes. */
  size: number;
  /** A chunk is valid until the next one is asked for. */
  chunks: AsyncIterable<Uint8Array>;
}

/** What an engine says of an error is short; more is not read. */
const maxErrorBytes = 64 * 1024;

/** A client for the API of an engine. Makes no request by itself. */
export function engineClient(endpoint: EngineEndpoint): EngineClient {
  const { address, tls } = endpoint;
  const hostName = "socketPath" in address ? "docker" : `${address.host}:${address.port}`;
  const options: https.RequestOptions = {
    ...address,
    ...(tls === undefined
      ? {}
      : {
          rejectUnauthorized: !tls.insecure,
          ...pem("ca", tls.ca),
          ...pem("cert", tls.cert),
          ...pem("key", tls.key),
        }),
  };
  const ask = async (
    method: "GET" | "POST",
    path: string,
    body: EngineBody | undefined,
    signal: AbortSignal,
  ): Promise<EngineAnswer> => {
    signal.throwIfAborted();
    const headers =
      method === "GET"
        ? { Host: hostName }
        : {
            Host: hostName,
            "Content-Length": body?.size ?? 0,
            ...(body === undefined ? {} : { "Content-Type": body.type }),
          };
    const response = await send(
      { ...options, headers, path, method, signal },
      tls !== undefined,
      body?.chunks,
    )
      // The signal's own reason says more than that a request was aborted.
      .catch((error: unknown) => {
        signal.throwIfAborted();
        throw error instanceof OcibundleError ? error : unreachable(endpoint, error);
      });
    const { statusCode: status = 0 } = response;
    if (status < 400) {
      const version = response.headers["api-version"];
      return {
        body: received(endpoint, response, signal),
        apiVersion: typeof version === "string" ? version : undefined,
      };
    }
    throw refusal(endpoint, status, await errorMessage(response));
  };
  return {
    endpoint,
    get: (path, signal) => ask("GET", path, undefined, signal),
    post: (path, body, signal) => ask("POST", path, body, signal),
  };
}

const pem = (name: "ca" | "cert" | "key", bytes: Uint8Array | undefined) =>
  bytes === undefined ? {} : { [name]: Buffer.from(bytes) };

const send = (
  options: https.RequestOptions,
  isTls: boolean,
  chunks?: AsyncIterable<Uint8Array>,
): Promise<http.IncomingMessage> =>
  new Promise((resolve, reject) => {
    const request = isTls ? https.request(options, resolve) : http.request(options, resolve);
    request.on("error", reject);
    if (chunks === undefined) {
      request.end();
      return;
    }
    const answered = new AbortController();
    request.once("response", () => answered.abort());
    sendChunks(request, chunks, answered.signal).catch((error: unknown) => {
      // An engine that has answered needs no more; its answer says why.
      if (answered.signal.aborted) return;
      reject(error);
      request.destroy();
    });
  });

/** Sends chunks as fast as they are taken, and stops when `stop` is aborted. */
async function sendChunks(
  request: http.ClientRequest,
  chunks: AsyncIterable<Uint8Array>,
  stop: AbortSignal,
): Promise<void> {
  for await (const chunk of chunks) {
    // What is not sent at once is kept, and the chunk is not.
    if (!request.write(Buffer.from(chunk))) await once(request, "drain", { signal: stop });
    stop.throwIfAborted();
  }
  request.end();
}

/** The body, its connection closed when it is not read to the end. */
async function* received(
  endpoint: EngineEndpoint,
  response: http.IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of response) {
      signal.throwIfAborted();
      yield chunk as Uint8Array;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OcibundleError) throw error;
    throw new OcibundleError("network", `${nameOf(endpoint)}: connection lost`, {
      cause: error,
    });
  } finally {
    response.destroy();
  }
}

const ErrorSchema = v.looseObject({ message: v.string() });

async function errorMessage(response: http.IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Uint8Array);
    size += (chunk as Uint8Array).byteLength;
    if (size > maxErrorBytes) break;
  }
  const text = Buffer.concat(chunks).toString();
  try {
    return v.parse(ErrorSchema, JSON.parse(text)).message;
  } catch {
    return "";
  }
}

function refusal(endpoint: EngineEndpoint, status: number, message: string): OcibundleError {
  const code =
    status === 404 ? "not_found" : status === 401 || status === 403 ? "denied" : "network";
  const said = message === "" ? `status ${status}` : message.replaceAll(/\s+/g, " ").trim();
  return new OcibundleError(code, `${nameOf(endpoint)}: ${said}`);
}

/** The engine in messages. */
export const nameOf = ({ url, origin }: EngineEndpoint): string =>
  `engine at ${url}${origin === undefined ? "" : ` (${origin})`}`;

function unreachable(endpoint: EngineEndpoint, cause: unknown): OcibundleError {
  const code = errno(cause);
  const name = nameOf(endpoint);
  switch (code) {
    case "ENOENT":
    case "ECONNREFUSED":
    case "FailedToOpenSocket":
    case "ConnectionRefused":
      return new OcibundleError("network", `${name}: no engine is running`, {
        hint: "start Docker or Podman, or set DOCKER_HOST",
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new OcibundleError("denied", `${name}: permission denied for its socket`, {
        hint: 'join the group that owns the socket (often "docker"), or use a rootless engine',
        cause,
      });
    default:
      return new OcibundleError("network", `${name}: cannot connect: ${code ?? String(cause)}`, {
        cause,
      });
  }
}
