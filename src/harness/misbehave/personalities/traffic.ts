import { BrokenConnection } from "../broken-connection.ts";
import { changed, type Layer, writes } from "../../registry/auth/middleware.ts";
import { refuse } from "./answers.ts";

/** Answers each `every`th request with 429, to come back in so many seconds. */
export function tooManyRequests(every: number, seconds: number): Layer {
  let count = 0;
  return (next) => async (request) => {
    count += 1;
    if (count % every !== 0) return await next(request);
    return await refuse(request, 429, "TOOMANYREQUESTS", "too many requests", {
      "Retry-After": String(seconds),
    });
  };
}

/** Sets a cookie, and takes a request that writes for a forged one when it brings that back. */
export const cookiesAreSessions: Layer = (next) => async (request) => {
  if (request.headers.has("Cookie") && writes(request)) {
    return await refuse(request, 403, "DENIED", "CSRF token not found in request");
  }
  const response = await next(request);
  const headers = new Headers(response.headers);
  headers.append("Set-Cookie", `sid=${crypto.randomUUID()}; Path=/; HttpOnly`);
  return new Response(response.body, { status: response.status, headers });
};

/** Breaks the connection when a request, its body and its answer's included, takes longer than so many milliseconds. */
export const requestsWithin =
  (milliseconds: number): Layer =>
  (next) =>
  async (request) => {
    const over = Promise.withResolvers<never>();
    // Nobody may be waiting by then.
    over.promise.catch(() => undefined);
    const timer = setTimeout(() => over.reject(new BrokenConnection()), milliseconds);
    const clear = (): void => clearTimeout(timer);
    request.signal.addEventListener("abort", clear, { once: true });
    try {
      const body = request.body === null ? null : until(request.body, over.promise, () => {});
      const response = await Promise.race([next(changed(request, { body })), over.promise]);
      if (response.body === null) {
        clear();
        return response;
      }
      return new Response(until(response.body, over.promise, clear), {
        status: response.status,
        headers: response.headers,
      });
    } catch (error) {
      clear();
      throw error;
    }
  };

function until(
  body: ReadableStream<Uint8Array>,
  over: Promise<never>,
  onEnd: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await Promise.race([reader.read(), over]);
          if (done) {
            onEnd();
            controller.close();
          } else controller.enqueue(value as Uint8Array<ArrayBuffer>);
        } catch (error) {
          onEnd();
          void reader.cancel().catch(() => undefined);
          throw error;
        }
      },
      async cancel(reason) {
        onEnd();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
