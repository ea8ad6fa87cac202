import { describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createBrotliCompress, createDeflate, createGzip, createZstdCompress } from "node:zlib";
import type { Transform } from "node:stream";
import { openBench } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

/** The binary alone takes about 60 MB. */
const mostMemory = 250 * MiB;

const compressors: Record<string, () => Transform> = {
  gzip: () => createGzip(),
  deflate: () => createDeflate(),
  br: () => createBrotliCompress({ params: { 1: 1 } }),
  zstd: () => createZstdCompress(),
};

function expectLittle(memory: number): void {
  if (process.platform === "linux") expect(memory).toBeGreaterThan(0);
  expect(memory).toBeLessThan(mostMemory);
}

const bombs = new Map<string, Promise<Uint8Array>>();

/** A gigabyte of zeros, compressed. */
function bomb(coding: string): Promise<Uint8Array> {
  const made = bombs.get(coding) ?? makeBomb(coding, 1024 * MiB);
  bombs.set(coding, made);
  return made;
}

async function makeBomb(coding: string, bytes: number): Promise<Uint8Array> {
  const compressor = compressors[coding]?.();
  if (compressor === undefined) throw new TypeError(coding);
  const zeros = new Uint8Array(16 * MiB);
  const chunks: Uint8Array[] = [];
  compressor.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  const ended = new Promise((resolve) => compressor.once("end", resolve));
  for (let at = 0; at < bytes; at += zeros.length) {
    if (compressor.write(zeros)) continue;
    await new Promise<void>((resolve) => void compressor.once("drain", resolve));
  }
  compressor.end();
  await ended;
  return Buffer.concat(chunks);
}

/** A server below HTTP: `answer` is called for each request's head. */
async function serveRaw(
  answer: (socket: Socket, head: string) => void,
): Promise<{ host: string; asked: () => number } & AsyncDisposable> {
  let asked = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        asked += 1;
        answer(socket, head);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Writes the same bytes again for as long as the other side takes them. */
function endlessly(socket: Socket, bytes: Uint8Array): void {
  while (!socket.destroyed && socket.write(bytes));
  if (!socket.destroyed) socket.once("drain", () => endlessly(socket, bytes));
}

const pathOf = (head: string): string => head.split(" ")[1] ?? "/";

describe("an answer that decompresses to gigabytes takes no memory", () => {
  const heads: Record<number, (path: string) => string> = {
    200: () => "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n",
    307: (path) => `Location: ${path}x\r\n`,
    401: () => 'WWW-Authenticate: Basic realm="x"\r\n',
    403: () => "Content-Type: application/json\r\n",
    503: () => "Retry-After: 0\r\n",
  };
  const cases = [
    ...Object.keys(heads).map((status) => ({ status: Number(status), coding: "zstd" })),
    ...["gzip", "deflate", "br"].map((coding) => ({ status: 403, coding })),
  ];
  for (const { status, coding } of cases) {
    test.concurrent(`status ${status}, ${coding}`, async () => {
      const body = await bomb(coding);
      await using server = await serveRaw((socket, head) => {
        socket.write(
          `HTTP/1.1 ${status} X\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n` +
            `${heads[status]?.(pathOf(head)) ?? ""}\r\n`,
        );
        socket.write(body);
      });
      using bench = openBench("hostile-answer");
      const { code, peakMemory } = await bench.run(["inspect", `${server.host}/acme/model:v1`]);
      expect(code ?? 0).toBe([401, 403].includes(status) ? 4 : 6);
      expectLittle(peakMemory);
    }, 60_000);
  }
});

describe("an answer without an end is left, and takes no memory", () => {
  const filler = Buffer.alloc(64 * 1024, "a");
  const endless: Record<string, (socket: Socket, path: string) => void> = {
    "in a header": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nX-A: ");
      endlessly(socket, filler);
    },
    "of headers": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      endlessly(socket, Buffer.from("X-A: b\r\n".repeat(8192)));
    },
    "of an error": (socket) => {
      socket.write("HTTP/1.1 403 Forbidden\r\n\r\n");
      endlessly(socket, filler);
    },
    "of a redirect": (socket, path) => {
      socket.write(`HTTP/1.1 307 Moved\r\nLocation: ${path}x\r\n\r\n`);
      endlessly(socket, filler);
    },
    "of a challenge": (socket) => {
      socket.write('HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n');
      endlessly(socket, filler);
    },
    "of a document": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      endlessly(socket, filler);
    },
    "to a HEAD": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
      endlessly(socket, filler);
    },
  };
  for (const [what, answer] of Object.entries(endless)) {
    test.concurrent(
      what,
      async () => {
        await using server = await serveRaw((socket, head) => answer(socket, pathOf(head)));
        using bench = openBench("hostile-answer");
        const args = ["inspect", `${server.host}/acme/model:v1`];
        const { code, peakMemory } = await bench.run(args);
        expect([4, 6]).toContain(code ?? 0);
        expectLittle(peakMemory);
      },
      60_000,
    );
  }
});
