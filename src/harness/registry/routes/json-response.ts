/** An answer with a JSON body and its length, which nobody else would say: a body is sent as it comes. */
export function jsonResponse(
  value: unknown,
  { status = 200, headers }: { status?: number; headers?: HeadersInit } = {},
): Response {
  const body = new TextEncoder().encode(JSON.stringify(value));
  const all = new Headers(headers);
  if (!all.has("Content-Type")) all.set("Content-Type", "application/json");
  all.set("Content-Length", String(body.length));
  return new Response(body, { status, headers: all });
}
