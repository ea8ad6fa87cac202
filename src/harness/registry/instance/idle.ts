import type { RegistryHandler } from "../routes/registry.ts";

/** The largest delay that timers take. */
const maxDelay = 2 ** 31 - 1;

/**
 * A body goes out after the handler has answered; so slow a reader at most, in bytes per millisecond, is waited for.
 */
const slowestReader = 1024;

/** A handler that notices when nobody asks any more. */
export interface IdleHandler {
  handle: RegistryHandler;
  /** Resolves when nothing was asked for the time given. */
  idle: Promise<void>;
  /** Ends the waiting. */
  cancel(): void;
}

/** The handler, and when it has had nothing to do for `milliseconds`. */
export function untilIdle(handler: RegistryHandler, milliseconds: number): IdleHandler {
  const { promise: idle, resolve } = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busyUntil = 0;
  let atWork = 0;
  const rest = (): void => {
    const wait = Math.max(0, busyUntil - Date.now()) + milliseconds;
    timer = setTimeout(resolve, Math.min(wait, maxDelay));
  };
  rest();
  return {
    idle,
    cancel: () => clearTimeout(timer),
    async handle(request) {
      clearTimeout(timer);
      atWork += 1;
      try {
        const response = await handler(request);
        const bytes = Number(response.headers.get("Content-Length") ?? 0);
        busyUntil = Math.max(busyUntil, Date.now() + bytes / slowestReader);
        return response;
      } finally {
        atWork -= 1;
        if (atWork === 0) rest();
      }
    },
  };
}
