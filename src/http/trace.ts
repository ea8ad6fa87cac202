import {
  type EmitHttpEvent,
  type HttpRequest,
  printableUrl,
  type Send,
} from "./message/message.ts";

/** Tells of each request that goes out and what came of it, without queries, headers and bodies. */
export const traced =
  (next: Send, emit: EmitHttpEvent): Send =>
  async (request) => {
    const started = performance.now();
    const tell = (came: string): void => {
      const milliseconds = Math.round(performance.now() - started);
      emit({ type: "detail", message: `${line(request)}: ${came}, ${milliseconds} ms` });
    };
    try {
      const response = await next(request);
      tell(String(response.status));
      return response;
    } catch (error) {
      tell(error instanceof Error ? error.message : "failed");
      throw error;
    }
  };

function line({ method, url, body, headers }: HttpRequest): string {
  const range = headers["range"] ?? headers["content-range"];
  return [
    method,
    printableUrl(url),
    ...(range === undefined ? [] : [`(${range})`]),
    ...(body === undefined ? [] : [`with ${body.size} bytes`]),
  ].join(" ");
}
