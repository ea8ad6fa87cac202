import type { Scope } from "./scope.ts";

/** The body of a request: a recipe, made anew for each try. */
export interface RequestBody {
  /** In bytes. */
  size: number;
  make(): Promise<BodyInit>;
}

/**
 * When a request is sent a second time after a failure. `always`: doing it twice does no harm. `asked`: only when the
 * server did nothing with it and said when to come back (429 or 503 with `Retry-After`). `limited`: then, and after
 * any other 429. `never`: the caller decides.
 */
export type Repeatable = "always" | "limited" | "asked" | "never";

/** One request; what is sent again after a failure or a redirect is made from it each time. */
export interface HttpRequest {
  method: string;
  url: URL;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  body?: RequestBody | undefined;
  /** Whether it holds a password or a refresh token: then no certificate of another host goes unchecked. */
  carriesLogin?: boolean | undefined;
  /** Whether the body lets somebody in: then it goes to the URL's origin and to no other. */
  secretBody?: boolean | undefined;
  /** Whether it may be sent again after a failure. */
  repeatable: Repeatable;
  /** What a token must allow. Empty for requests that are about no repository. */
  scopes: readonly Scope[];
  /** The repository whose credentials are used, or undefined for the registry's own. */
  repository?: string | undefined;
  /** For a document that is read into memory: its limit in bytes. Its body is part of the try then. */
  maxDocument?: number | undefined;
  /** Whether the answer may be a large blob, whose bytes are to come in the way that costs least. */
  large?: boolean | undefined;
  /** What the answer's body is, for the messages of what breaks in it. The host unless given. */
  about?: readonly string[] | undefined;
  /** How long the first byte of the answer may take, in milliseconds, where the usual limit is too short. */
  firstByteTimeout?: number | undefined;
  /** Judges the addresses that a name stands for where the connection is made (see checked-address.ts). */
  checkAddresses?: ((name: string, addresses: readonly string[]) => void) | undefined;
  signal: AbortSignal;
}

/** An answer. `followRedirects` and the layers around it give the last one; below it, a redirect is an answer. */
export interface HttpResponse {
  status: number;
  headers: Headers;
  /** Must be read to its end or cancelled (see body.ts). */
  body: ReadableStream<Uint8Array> | undefined;
  /** Where the answer came from, redirects followed. */
  url: URL;
}

/** One layer of the client: each is given the next and returns its own. */
export type Send = (request: HttpRequest) => Promise<HttpResponse>;

/** What is told about while requests are made: a subset of the transfer's events. */
export type HttpEvent =
  | { type: "wait"; milliseconds: number; reason: string }
  | { type: "warning"; message: string }
  | { type: "detail"; message: string };

/** Gets what happens on the way to an answer: retries and waits. */
export type EmitHttpEvent = (event: HttpEvent) => void;

/** A URL for messages: never its query or user, which may hold signatures and secrets. */
export const printableUrl = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`;

/** Headers that are for the origin they were made for, and for no other. */
const bound = new Set(["authorization", "cookie", "proxy-authorization"]);

/** Headers without those that are bound to an origin. */
export const withoutBound = (
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !bound.has(name)));
