import { routeOf } from "../../registry/auth/access.ts";
import { Refusal, type RefusalCode, refusalResponse } from "../../registry/routes/refusal.ts";
import type { RouteTo } from "../../registry/routes/request.ts";
import type { RegistryHandler } from "../../registry/routes/registry.ts";

/** A registry's no, after the request's body was taken in: else some clients see a broken connection. */
export async function refuse(
  request: Request,
  status: number,
  code: RefusalCode,
  message: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  for await (const _ of request.body ?? []);
  return refusalResponse(new Refusal(status, { code, message }, headers), request.method);
}

/** The upload session that a request is about. */
export function sessionOf(request: Request): RouteTo<"upload"> | undefined {
  const route = routeOf(request);
  return route?.resource === "upload" ? route : undefined;
}

/** What a registry says of a session; undefined when it knows none. */
export async function receivedRange(
  next: RegistryHandler,
  request: Request,
): Promise<string | undefined> {
  const { status, headers } = await next(new Request(request.url));
  return status === 204 ? (headers.get("Range") ?? undefined) : undefined;
}

/** The digest of the blob that a POST of an upload brings with it; undefined for any other request. */
export function wholePostOf(request: Request): string | undefined {
  if (request.method !== "POST" || routeOf(request)?.resource !== "uploads") return undefined;
  return new URL(request.url).searchParams.get("digest") ?? undefined;
}

/** `Content-Length`, in bytes; undefined where it is not said. */
export function lengthOf({ headers }: Request): number | undefined {
  const text = headers.get("Content-Length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A response with headers changed. */
export function withHeaders(
  response: Response,
  change: (headers: Headers) => void,
  status: number = response.status,
): Response {
  const headers = new Headers(response.headers);
  change(headers);
  return new Response(response.body, { status, headers });
}

/** What is remembered of each of the newest sessions. */
export function sessionNotes<Note>(limit = 10_000): Map<string, Note> {
  const notes = new Map<string, Note>();
  const set = notes.set.bind(notes);
  notes.set = (key, note) => {
    if (notes.size >= limit && !notes.has(key)) {
      for (const oldest of notes.keys()) {
        notes.delete(oldest);
        break;
      }
    }
    return set(key, note);
  };
  return notes;
}
