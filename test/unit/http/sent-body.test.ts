import { describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { httpFailureOf } from "../../../src/http/message/failure.ts";
import { bottom, get, serve } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

const MiB = 1024 * 1024;
const piece = new Uint8Array(64 * 1024);

/** A body of `size` bytes; before each piece of 64 KiB is given, `pause` says how long that takes. */
const streamed = (size: number, pause: (position: number) => number = () => 0) => ({
  size,
  make: () => {
    let position = 0;
    return Promise.resolve(
      new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            const milliseconds = pause(position);
            if (milliseconds > 0) await Bun.sleep(milliseconds);
            const next = piece.subarray(0, size - position);
            position += next.length;
            controller.enqueue(next);
            if (position >= size) controller.close();
          },
        },
        { highWaterMark: 0 },
      ),
    );
  },
});

/** A server that answers 202 to `size` bytes of body, which `take` reads as it likes. */
async function serveSlowly(take: (socket: Socket, received: number) => void, size: number) {
  const server = createServer({ highWaterMark: 64 * 1024 }, (socket) => {
    let received = 0;
    let head = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      if (!head.includes("\r\n\r\n")) head += chunk.toString("latin1");
      received += chunk.length;
      if (received >= size + head.indexOf("\r\n\r\n") + 4) {
        socket.end("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      } else take(socket, received);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      await Promise.resolve();
    },
  };
}

const size = 24 * MiB;

describe("a body that is a stream", () => {
  test("is given up when no byte of it is taken any more, before anything went through", async () => {
    await using server = await serveSlowly((socket) => socket.pause(), size);
    const started = performance.now();
    const sent = bottom({ idleTimeout: 300 })(
      get(server.origin, { method: "PATCH", body: streamed(size) }),
    );
    const failure = await errorOf(sent);
    expect(httpFailureOf(failure)?.kind).toBe("stalled");
    expect(failure.message).toContain("the upload stalled: no data was accepted for");
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test("goes on however slowly it is taken, for longer than anything may stand still", async () => {
    const started = performance.now();
    const bytesPerMillisecond = (12 * MiB) / 1000;
    await using server = await serveSlowly((socket, received) => {
      const early = received / bytesPerMillisecond - (performance.now() - started);
      if (early < 1) return;
      socket.pause();
      setTimeout(() => socket.resume(), early);
    }, size);
    const response = await bottom({ idleTimeout: 800, firstByteTimeout: 800 })(
      get(server.origin, { method: "PATCH", body: streamed(size) }),
    );
    expect(response.status).toBe(202);
    expect(performance.now() - started).toBeGreaterThan(1500);
  });

  test("may come from a source that is slower than the network may be", async () => {
    await using server = serve(() => new Response(null, { status: 202 }));
    const body = streamed(MiB, (position) => (position === MiB / 2 ? 400 : 0));
    const response = await bottom({ idleTimeout: 100, firstByteTimeout: 100 })(
      get(server.origin, { method: "PATCH", body }),
    );
    expect(response.status).toBe(202);
  });

  test("that was taken wants its answer in time", async () => {
    await using server = serve(() => new Promise<Response>(() => undefined));
    const sent = bottom({ firstByteTimeout: 100 })(
      get(server.origin, { method: "PATCH", body: streamed(1000) }),
    );
    expect(httpFailureOf(await errorOf(sent))?.kind).toBe("timeout");
  });
});
