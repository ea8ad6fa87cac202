import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { readUpTo } from "../http/message/body.ts";
import { isLoopback } from "../http/message/loopback.ts";
import type { HttpRequest } from "../http/message/message.ts";
import { readDocument } from "../runtime/read-document.ts";
import { readingCode, unreadableBecause } from "../runtime/file-faults.ts";
import { aboutSource, sourceSend } from "../remote/send.ts";
import { checkedCredential, type CredentialOptions, type S3Credential } from "./credential.ts";

/** An answer with credentials is larger than this for no service, in bytes. */
const maxAnswerBytes = 64 * 1024;

/** A request to a service that hands out credentials. */
export interface RoleRequest {
  method: "GET" | "PUT" | "POST";
  url: URL;
  headers?: Readonly<Record<string, string>>;
  /** Sent as a form. */
  body?: string;
  /** What answers, for messages: `the container's credentials`. */
  name: string;
  /** What to do where it is refused or does not answer. */
  hint: string;
}

/** Asks a service for credentials. The answer is never shown. Throws `denied`, `network`. */
export async function roleRequest(
  { method, url, headers = {}, body, name, hint }: RoleRequest,
  { env, emit, clock, certificates }: CredentialOptions,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const send = sourceSend({
    ...certificates(url.host),
    origin: url,
    // Services of the machine itself are not reached through a proxy.
    env: isMachinesOwn(url) ? withoutProxies(env) : env,
    emit,
    clock,
    around: (next) => next,
  });
  const request: HttpRequest = {
    method,
    url,
    headers: {
      ...headers,
      ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    },
    body:
      body === undefined
        ? undefined
        : { size: Buffer.byteLength(body), make: () => Promise.resolve(body) },
    carriesLogin: true,
    secretBody: true,
    repeatable: "always",
    scopes: [],
    about: [name],
    maxDocument: maxAnswerBytes,
    signal,
  };
  try {
    const response = await send(request);
    const { bytes } = await readUpTo(response, maxAnswerBytes);
    if (response.status === 200) return bytes;
    const code = response.status >= 500 ? "network" : "denied";
    throw new OcibundleError(code, `${name} answered ${response.status}`, { hint });
  } catch (error) {
    throw aboutSource(error, name, hint);
  }
}

/**
 * Addresses at which a machine or a container finds services of its own. Credentials may be asked for there by
 * plain HTTP.
 */
const isMachinesOwn = ({ host, hostname }: URL): boolean =>
  isLoopback(host) || /^169\.254(?:\.\d+){2}$|^\[fd00:ec2:/i.test(hostname);

/**
 * The address of a service that gives credentials. Amazon's rule: they are asked for by plain HTTP at services of the
 * machine alone. Throws `usage`, which names the variable that the address is from.
 */
export function roleUrl(text: string, variable: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isMachinesOwn(url))) return url;
  throw new OcibundleError("usage", `${variable} is neither https nor an address of this machine`, {
    hint: "remove it, or set it to a URL that begins with https://",
  });
}

const withoutProxies = (env: CredentialOptions["env"]): CredentialOptions["env"] =>
  Object.fromEntries(Object.entries(env).filter(([key]) => !/^(?:https?|all)_proxy$/i.test(key)));

const AnswerSchema = v.looseObject({
  AccessKeyId: v.pipe(v.string(), v.minLength(1)),
  SecretAccessKey: v.pipe(v.string(), v.minLength(1)),
  Token: v.optional(v.nullable(v.string())),
  Expiration: v.optional(v.nullable(v.string())),
});

/** Reads the JSON that containers and machines are given. Throws `network`. */
export function roleAnswer(bytes: Uint8Array, name: string): S3Credential {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    document = undefined;
  }
  const result = v.safeParse(AnswerSchema, document);
  if (!result.success) throw unreadableAnswer(name);
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = result.output;
  return expiring(
    {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: Token || undefined,
    },
    Expiration ?? undefined,
    name,
  );
}

/**
 * A credential that ends at a time, as ISO 8601 has it. Without one, or with one that can't be read, it does not end.
 * Throws as `checkedCredential` does.
 */
export function expiring(
  credential: S3Credential,
  until: string | undefined,
  name: string,
): S3Credential {
  const expires = until === undefined ? Number.NaN : Date.parse(until);
  checkedCredential(credential, name);
  return Number.isNaN(expires) ? credential : { ...credential, expires };
}

/** The error for an answer without credentials in it. `name` is what answered. */
export const unreadableAnswer = (name: string): OcibundleError =>
  new OcibundleError("network", `${name} sent a response without credentials`);

/** A token that a file holds, which is replaced from time to time. Throws `file`, `system`. */
export async function tokenIn(path: string, variable: string): Promise<string> {
  try {
    const token = (await readDocument(path, { maxBytes: maxAnswerBytes })).toString("utf8").trim();
    if (/^[\x20-\x7e]+$/.test(token)) return token;
  } catch (cause) {
    throw new OcibundleError(
      readingCode(cause),
      `${variable}: "${path}" ${unreadableBecause(cause)}`,
      { hint: `check ${variable}, or unset it`, cause },
    );
  }
  throw new OcibundleError("file", `${variable}: "${path}" holds no token`, {
    hint: "write the token to that file, or unset the variable",
  });
}
