import type { Send } from "../http/message/message.ts";

/** What `RateLimit: "resolvers";r=0;t=55` asks to wait, in seconds, or undefined. */
function parseRateLimit(header: string | null): number | undefined {
  const waits = (header ?? "")
    .split(",")
    .flatMap((limit) => {
      const remaining = /;\s*r=(\d{1,9})\b/.exec(limit)?.[1];
      const seconds = /;\s*t=(\d{1,9})\b/.exec(limit)?.[1];
      return remaining !== undefined && Number(remaining) > 0 ? [] : [seconds];
    })
    .filter((seconds) => seconds !== undefined);
  return waits.length === 0 ? undefined : Math.max(...waits.map(Number));
}

/** Makes a `Retry-After` of the hub's own header on a 429, which has none. */
export const honorRateLimit =
  (next: Send): Send =>
  async (request) => {
    const response = await next(request);
    if (response.status !== 429 || response.headers.has("retry-after")) return response;
    const seconds = parseRateLimit(response.headers.get("ratelimit"));
    if (seconds === undefined) return response;
    const headers = new Headers(response.headers);
    headers.set("retry-after", String(seconds));
    return { ...response, headers };
  };
