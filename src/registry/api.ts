import { OcibundleError, amended } from "../errors.ts";
import type { Scope } from "../http/message/scope.ts";
import { discard } from "../http/message/body.ts";
import type { HttpResponse, Repeatable, RequestBody, Send } from "../http/message/message.ts";
import type { KnownCodings } from "./coded-blob.ts";
import { readRefusal, type Subject } from "./refusal.ts";

/** What the files of this directory make requests with. */
export interface Api {
  /** The registry as the user wrote it. */
  host: string;
  /** Where its API is, with a slash at the end: `https://registry-1.docker.io/v2/`. */
  base: URL;
  send: Send;
  /** Strikes out of a stranger's words what was sent to show who one is. */
  strike: (text: string) => string;
  /** Goes with each request as `?ns=`: the registry that this one is a mirror of. */
  ns?: string | undefined;
  /** Which blobs are compressed on their way, as far as it was seen. */
  codings: KnownCodings;
  /** What ending an upload may take at least, in milliseconds. */
  finishTimeout?: number | undefined;
}

/** One request of the distribution API, and which answers to it are no failure. */
export interface ApiRequest {
  method: string;
  url: URL;
  headers?: Readonly<Record<string, string>>;
  body?: RequestBody | undefined;
  /** Whose credentials are used, and which errors name; undefined: the registry itself. */
  repository?: string;
  /** What a token must allow; empty for requests that are about no repository. */
  scopes: readonly Scope[];
  /** Whether it may be sent again after a failure; `always` unless given. */
  repeatable?: Repeatable;
  /** Statuses that are an answer; all others are thrown as a refusal. */
  accept: readonly number[] | "any";
  /** In milliseconds, where the usual limit is too short. */
  firstByteTimeout?: number;
  /** For an answer that is a document: its limit in bytes. */
  maxDocument?: number;
  /** Whether the answer may be a large blob. */
  large?: boolean;
  /** What it is about, for messages: `blob sha256:ab…`. */
  thing: string;
  signal: AbortSignal;
}

/** The name of what a request is about. */
const subjectOf = (api: Api, repository: string | undefined, thing: string): Subject => ({
  host: api.host,
  name: repository === undefined ? api.host : `${api.host}/${repository}`,
  thing,
  origin: api.base.origin,
  strike: api.strike,
});

/**
 * Makes a request and judges its status. Errors name the repository and the thing; a refusal is
 * their cause.
 */
export async function request(api: Api, options: ApiRequest): Promise<HttpResponse> {
  const { method, url, headers = {}, body, repository, scopes, accept, thing, signal } = options;
  const on = subjectOf(api, repository, thing);
  let response: HttpResponse;
  try {
    response = await api.send({
      method,
      url,
      headers,
      body,
      repeatable: options.repeatable ?? "always",
      scopes,
      repository,
      firstByteTimeout: options.firstByteTimeout,
      maxDocument: options.maxDocument,
      large: options.large,
      about: [on.name, thing],
      signal,
    });
  } catch (error) {
    throw named(error, api, on);
  }
  if (accept === "any" || accept.includes(response.status)) return response;
  throw await readRefusal(response, on);
}

/** The same, where the body of the answer says nothing. */
export async function command(api: Api, options: ApiRequest): Promise<HttpResponse> {
  const response = await request(api, options);
  await discard(response);
  return response;
}

/** An error of the client with the repository and the thing as its subject, in place of the registry's name. */
function named(error: unknown, api: Api, on: Subject): unknown {
  if (!(error instanceof OcibundleError) || (error.code !== "network" && error.code !== "denied")) {
    return error;
  }
  // What breaks in a body has the whole name already.
  if (error.subject[0] === on.name && error.subject[1] === on.thing) return error;
  const rest = error.subject.filter((name) => name !== api.base.host && name !== api.host);
  return amended(error, { subject: [on.name, on.thing, ...rest] });
}

/** A URL below the API's base; the parts are put in as they are, names of repositories with their slashes. */
export const apiUrl = (api: Api, path: string, query?: Readonly<Record<string, string>>): URL => {
  const url = new URL(path, api.base);
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.append(name, value);
  if (api.ns !== undefined) url.searchParams.append("ns", api.ns);
  return url;
};
