import { BrokenConnection } from "../broken-connection.ts";
import { changed, type Layer } from "../../registry/auth/middleware.ts";
import type { RegistryHandler } from "../../registry/routes/registry.ts";
import { type BodyFault, faultyBody, untilAborted } from "./body.ts";
import type { Fault, FaultKind } from "./fault.ts";
import { faultMatcher } from "./matcher.ts";

/**
 * Makes things go wrong on purpose. Of several faults the first one that fits happens; all of them
 * count the request. Where a connection is to break, the handler or its response's body throws
 * BrokenConnection.
 */
export function withFaults(faults: readonly Fault[]): Layer {
  const known = faults.map(({ what, filter }) => ({ what, matches: faultMatcher(filter) }));
  return (next) => async (request) => {
    let happening: FaultKind | undefined;
    for (const { what, matches } of known) {
      if (matches(request, happening !== undefined)) happening = what;
    }
    return happening === undefined ? await next(request) : await happen(happening, request, next);
  };
}

async function happen(what: FaultKind, request: Request, next: RegistryHandler): Promise<Response> {
  switch (what.kind) {
    case "status":
      return await statusResponse(what, request);
    case "drop": {
      const response = await next(request);
      await response.body?.cancel();
      throw new BrokenConnection();
    }
    case "reset":
    case "stall":
      if (what.at === undefined) {
        if (what.kind === "stall") await untilAborted(request.signal);
        throw new BrokenConnection();
      }
      return await onBody(what, request, next);
    case "truncate":
    case "corrupt":
    case "slow":
      return await onBody(what, request, next);
  }
}

async function statusResponse(
  { status, retryAfter }: Extract<FaultKind, { kind: "status" }>,
  request: Request,
): Promise<Response> {
  // An answer before the body was read would end in a broken connection with some clients.
  for await (const _ of request.body ?? []);
  const headers = {
    "Content-Type": "application/json",
    ...(retryAfter === undefined ? {} : { "Retry-After": retryAfter }),
  };
  const bodiless = request.method === "HEAD" || status === 204 || status === 205 || status === 304;
  const errors = [{ code: "UNKNOWN", message: "injected fault" }];
  return new Response(bodiless ? null : JSON.stringify({ errors }), { status, headers });
}

/** Of a request that brings a body it is that one which suffers, else the response's. */
async function onBody(
  fault: BodyFault,
  request: Request,
  next: RegistryHandler,
): Promise<Response> {
  if (request.body === null) return faultyResponse(fault, await next(request), request);
  const length = Number(request.headers.get("Content-Length") ?? 0);
  let broken = false;
  const body = streamOf(
    faultyBody(request.body, fault, length, request.signal),
    () => (broken = true),
  );
  const headers = new Headers(request.headers);
  if (fault.kind === "truncate") headers.delete("Content-Length");
  const response = await next(changed(request, { body, headers }));
  if (!broken) return response;
  await response.body?.cancel();
  throw new BrokenConnection();
}

function faultyResponse(fault: BodyFault, response: Response, request: Request): Response {
  const { body, status, headers: original } = response;
  if (body === null) {
    if (fault.kind === "reset" || fault.kind === "stall") throw new BrokenConnection();
    return response;
  }
  const headers = new Headers(original);
  const length = Number(headers.get("Content-Length") ?? 0);
  // A length that is not kept would break the connection: this is to look like the end.
  if (fault.kind === "truncate") headers.delete("Content-Length");
  return new Response(streamOf(faultyBody(body, fault, length, request.signal)), {
    status,
    headers,
  });
}

function streamOf(
  chunks: AsyncGenerator<Uint8Array>,
  onError?: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(value as Uint8Array<ArrayBuffer>);
        } catch (error) {
          onError?.();
          throw error;
        }
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
