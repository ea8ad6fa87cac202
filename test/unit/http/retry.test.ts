import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import { failureError } from "../../../src/http/message/failure.ts";
import type { Send } from "../../../src/http/message/message.ts";
import { retrier, retry } from "../../../src/http/retry.ts";
import {
  maxRetryAfter,
  requestRetries,
  slowRetries,
  unreachableRetries,
} from "../../../src/retry/backoff.ts";
import { type RetryBudget, retryBudget } from "../../../src/retry/budget.ts";
import {
  bottom,
  brokenBody,
  get,
  recordedEvents,
  recordedClock,
  serve,
  serveBytes,
  textOf,
} from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

function client(next: Send = bottom(), budget?: RetryBudget) {
  const clock = recordedClock();
  const { events, emit } = recordedEvents();
  const again = retrier({ host: "registry.test", clock, emit, budget });
  return { clock, events, send: retry(next, again, clock.now) };
}

describe("a request is sent again", () => {
  test.each([408, 425, 429, 500, 502, 503, 504, 507, 520, 522, 524, 529])(
    "after %d",
    async (status) => {
      await using server = serve((_, count) =>
        count < 3 ? new Response("busy", { status }) : new Response("done"),
      );
      const { send, clock, events } = client();
      expect(await textOf((await send(get(server.origin))).body)).toBe("done");
      const { firstWait } = requestRetries;
      expect(clock.pauses).toEqual([firstWait * 0.75, firstWait * 1.5]);
      expect(events.map(({ type }) => type)).toEqual(["wait", "wait"]);
    },
  );

  test("after a broken connection, with its body made anew", async () => {
    let connections = 0;
    await using server = serveBytes((socket, head) => {
      connections++;
      if (connections < 3) socket.terminate();
      else socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${head.at(-1)}`);
    });
    let made = 0;
    const body = {
      size: 3,
      make: () => {
        made++;
        return Promise.resolve(new Blob(["abc"]));
      },
    };
    const { send } = client();
    const response = await send(get(server.origin, { method: "PUT", body }));
    expect(await textOf(response.body)).toBe("c");
    expect(made).toBe(3);
  });

  test("as often as allowed, and then the last answer is the answer", async () => {
    await using server = serve(() => new Response("busy", { status: 503 }));
    const { send, clock } = client();
    expect((await send(get(server.origin))).status).toBe(503);
    expect(server.seen).toHaveLength(requestRetries.tries);
    expect(clock.pauses.every((pause) => pause <= requestRetries.longestWait)).toBe(true);
    expect(clock.pauses).toEqual(clock.pauses.toSorted((a, b) => a - b));
  });

  test.each(["timeout", "stalled"] as const)("less often after a %s", async (kind) => {
    const { send, clock } = client(() => Promise.reject(failureError("registry.test", kind)));
    expect(await errorOf(send(get("http://registry.test/")))).toMatchObject({ code: "network" });
    expect(clock.pauses).toHaveLength(slowRetries.tries - 1);
  });

  test.each([
    ["internal error", 80, true],
    ["user cancelled", 90, true],
    ["protocol version", 70, false],
  ])("less often after a TLS alert that may pass: %s", async (_, alert, passes) => {
    let connections = 0;
    await using server = serveBytes((socket) => {
      connections++;
      socket.end(new Uint8Array([0x15, 3, 3, 0, 2, 2, alert]));
    });
    const { send } = client();
    const url = server.origin.replace("http:", "https:");
    expect(await errorOf(send(get(url, { large: true })))).toMatchObject({ code: "network" });
    expect(connections).toBe(passes ? unreachableRetries.tries : 1);
  });

  test("less often when nothing can be reached", async () => {
    const server = serve(() => new Response());
    await server[Symbol.asyncDispose]();
    const { send, clock } = client();
    expect(await errorOf(send(get(server.origin)))).toMatchObject({ code: "network" });
    expect(clock.pauses).toHaveLength(unreachableRetries.tries - 1);
  });
});

describe("a request is not sent again", () => {
  test.each([200, 307, 400, 401, 403, 404, 409, 413, 416, 501])("after %d", async (status) => {
    await using server = serve(() => new Response("x", { status }));
    const { send } = client();
    expect((await send(get(server.origin))).status).toBe(status);
    expect(server.seen).toHaveLength(1);
  });

  test("when the caller decides", async () => {
    await using server = serve(() => new Response("x", { status: 503 }));
    const { send } = client();
    await send(get(server.origin, { repeatable: "never" }));
    expect(server.seen).toHaveLength(1);
  });

  test("when its effect is not known, but is when the server asked it back", async () => {
    await using server = serve((_, count) =>
      count === 1
        ? new Response("x", { status: 429, headers: { "retry-after": "7" } })
        : new Response("x", { status: 503 }),
    );
    const { send, clock } = client();
    const response = await send(get(server.origin, { method: "PATCH", repeatable: "asked" }));
    expect(response.status).toBe(503);
    expect(clock.pauses).toEqual([7000]);
  });

  test("when its body fails by itself", async () => {
    const { send, clock } = client();
    const body = brokenBody(1);
    const sent = send(get("http://127.0.0.1:9/", { method: "PUT", body }));
    expect(await errorOf(sent)).toMatchObject({ code: "integrity" });
    expect(clock.pauses).toEqual([]);
  });
});

describe("all requests of a run together", () => {
  test("have a number of failed tries, whose end is said once", async () => {
    await using server = serve(() => new Response("busy", { status: 503 }));
    const { send, clock, events } = client(bottom(), retryBudget(7));
    for (let count = 0; count < 4; count++) await send(get(server.origin));
    expect(clock.pauses).toHaveLength(7);
    expect(server.seen).toHaveLength(4 + 7);
    expect(events.filter(({ type }) => type === "warning")).toEqual([
      {
        type: "warning",
        message: "registry.test: 7 tries failed in this run; requests are no longer retried",
      },
    ]);
  });

  test("count whichever registry they go to", async () => {
    await using server = serve(() => new Response("busy", { status: 503 }));
    const budget = retryBudget(7);
    const [one, other] = [client(bottom(), budget), client(bottom(), budget)];
    await one.send(get(server.origin));
    await other.send(get(server.origin));
    await one.send(get(server.origin));
    expect(one.clock.pauses.length + other.clock.pauses.length).toBe(7);
    const said = [...one.events, ...other.events].filter(({ type }) => type === "warning");
    expect(said).toHaveLength(1);
  });

  test("are renewed for a server, which has no end", async () => {
    await using server = serve(() => new Response("busy", { status: 503 }));
    const day = 24 * 3_600_000;
    const { send, clock } = client(bottom(), retryBudget(1, day));
    await send(get(server.origin));
    await send(get(server.origin));
    expect(clock.pauses).toHaveLength(1);
    clock.advance(day);
    await send(get(server.origin));
    expect(clock.pauses).toHaveLength(2);
  });

  test("may have none, of which nothing is said", async () => {
    await using server = serve(() => new Response("busy", { status: 503 }));
    const { send, events } = client(bottom(), retryBudget(0));
    expect((await send(get(server.origin))).status).toBe(503);
    expect(events).toEqual([]);
  });
});

describe("Retry-After", () => {
  test("is waited for in full, as seconds and as a date by the server's clock, and said", async () => {
    const itsClock = Date.UTC(1999, 1, 2, 10);
    const later = new Date(itsClock + 20_000).toUTCString();
    await using server = serve((_, count) =>
      count > 2
        ? new Response("done")
        : new Response("", {
            status: 429,
            headers: {
              date: new Date(itsClock).toUTCString(),
              "retry-after": count === 1 ? "120" : later,
            },
          }),
    );
    const { send, clock, events } = client();
    await send(get(server.origin));
    expect(clock.pauses).toEqual([120_000, 20_000]);
    expect(events[0]).toEqual({
      type: "wait",
      milliseconds: 120_000,
      reason: "registry.test: too many requests (429)",
    });
  });

  test("beyond the limit ends the tries", async () => {
    const seconds = String(maxRetryAfter / 1000 + 1);
    await using server = serve(
      () => new Response("", { status: 429, headers: { "retry-after": seconds } }),
    );
    const { send, clock } = client();
    expect((await send(get(server.origin))).status).toBe(429);
    expect(clock.pauses).toEqual([]);
  });
});

test("an interruption ends the wait", async () => {
  await using server = serve(() => new Response("", { status: 503 }));
  const reason = new OcibundleError("interrupted", "Interrupted");
  const controller = new AbortController();
  const { emit } = recordedEvents();
  const clock = {
    ...recordedClock(),
    sleep: (_: number, signal: AbortSignal) =>
      new Promise<void>((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        controller.abort(reason);
      }),
  };
  const send = retry(bottom(), retrier({ host: "registry.test", clock, emit }), clock.now);
  expect(await errorOf(send(get(server.origin, { signal: controller.signal })))).toBe(reason);
  expect(server.seen).toHaveLength(1);
});
