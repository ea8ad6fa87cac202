import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { type LargeRequest, largeAnswers } from "../../../../src/http/large/answer.ts";
import {
  type LocalCertificates,
  makeCertificates,
} from "../../../../src/harness/registry/instance/certificate.ts";
import { never, serve, serveBytes } from "../../../support/registry/scripted-server.ts";
import { errorOf } from "../../../support/failure.ts";

const get = (url: string, more: Partial<LargeRequest> = {}): LargeRequest => ({
  url: new URL(url),
  headers: {},
  tls: undefined,
  signal: never,
  ...more,
});

type Ask = ReturnType<typeof largeAnswers>;

/** The body's text; undefined where the answer is left to fetch. */
async function textOf(ask: Ask, request: LargeRequest): Promise<string | undefined> {
  const answer = await ask(request);
  if (answer === undefined) return undefined;
  let text = "";
  for (;;) {
    const { done, value } = await answer.body.read();
    if (done) return text;
    text += Buffer.from(value ?? []).toString("latin1");
  }
}

/** A server below HTTP whose connections are counted; `answer` gets the number of the connection, from 1. */
function countConnections(answer: (socket: Bun.Socket, connection: number, head: string) => void) {
  const connections: Bun.Socket[] = [];
  const server = serveBytes((socket, head) => {
    if (!connections.includes(socket)) connections.push(socket);
    answer(socket, connections.indexOf(socket) + 1, head);
  });
  return { ...server, connections };
}

const ok = (body: string, headers = ""): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;

/** A server below HTTP that buffers what it writes; each connection is answered once. */
function serveNode(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("data", () => answer(socket)).on("error", () => undefined);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  return promise.then(() => ({
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  }));
}

/** Sends `size` bytes at a time. */
function dribble(socket: Bun.Socket, text: string, size: number): void {
  socket.write(text.slice(0, size));
  socket.flush();
  if (text.length > size) setImmediate(() => dribble(socket, text.slice(size), size));
}

describe("a connection", () => {
  test("serves one request after another", async () => {
    await using server = countConnections((socket) => void socket.write(ok("abc")));
    const ask = largeAnswers();
    for (const _ of [1, 2, 3]) expect(await textOf(ask, get(server.origin))).toBe("abc");
    expect(server.connections).toHaveLength(1);
  });

  test("is not used again when the server closes it, is given up, or goes on after its body", async () => {
    for (const [headers, after] of [
      ["Connection: close\r\n", ""],
      ["", "HTTP/1.1 200 OK"],
    ] as const) {
      await using server = countConnections(
        (socket) => void socket.write(ok("abc", headers) + after),
      );
      const ask = largeAnswers();
      for (const _ of [1, 2]) expect(await textOf(ask, get(server.origin))).toBe("abc");
      expect(server.connections).toHaveLength(2);
    }
    await using server = countConnections((socket) => void socket.write(ok("abc")));
    const ask = largeAnswers();
    await (await ask(get(server.origin)))?.body.cancel();
    expect(await textOf(ask, get(server.origin))).toBe("abc");
    expect(server.connections).toHaveLength(2);
  });

  test("is not used again when something arrives on it while it is idle, and is closed then", async () => {
    const body = "a".repeat(600_000);
    const late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    const closed: Promise<unknown>[] = [];
    await using server = await serveNode((socket) => {
      closed.push(once(socket, "close"));
      socket.write(ok(body));
      answered = () => socket.write(late);
    });
    let answered: (() => void) | undefined;
    const ask = largeAnswers();
    for (const _ of [1, 2]) {
      const answer = await ask(get(server.origin));
      expect(answer?.status).toBe(200);
      let size = 0;
      while (size < body.length) {
        // Slow enough for the rest to arrive before it is read.
        await Bun.sleep(5);
        size += (await answer?.body.read())?.value?.length ?? 0;
      }
      answered?.();
      await closed.at(-1);
    }
    expect(closed).toHaveLength(2);
  });

  test("that was kept and breaks before an answer is replaced by a new one, once", async () => {
    let requests = 0;
    await using server = countConnections((socket, connection) => {
      requests += 1;
      if (connection === 1 && requests > 1) socket.end();
      else socket.write(ok(`connection ${connection}`));
    });
    const ask = largeAnswers();
    expect(await textOf(ask, get(server.origin))).toBe("connection 1");
    expect(await textOf(ask, get(server.origin))).toBe("connection 2");
    await using closing = countConnections((socket) => void socket.end());
    expect(await errorOf(ask(get(closing.origin)))).toMatchObject({ code: "ECONNRESET" });
    expect(closing.connections).toHaveLength(1);
  });

  test("reaches a host by its name and by an address of either version", async () => {
    for (const hostname of ["localhost", "127.0.0.1", "::1"]) {
      const server = Bun.serve({
        hostname,
        port: 0,
        fetch: ({ headers }) => new Response(headers.get("host")),
      });
      const host = `${hostname === "::1" ? "[::1]" : hostname}:${server.port}`;
      expect(await textOf(largeAnswers(), get(`http://${host}/`))).toBe(host);
      await server.stop(true);
    }
  });
});

describe("a request", () => {
  test("goes out with path, query and headers as they are", async () => {
    await using server = serve(() => new Response("abc"));
    const url = `${server.origin}/v2/a%2Fb/blobs/x?sig=a%2Bb`;
    await textOf(largeAnswers(), get(url, { headers: { range: "bytes=0-2", "x-a": "é" } }));
    const [seen] = server.seen;
    expect(seen?.path).toBe("/v2/a%2Fb/blobs/x?sig=a%2Bb");
    expect(seen?.headers.get("range")).toBe("bytes=0-2");
    expect(seen?.headers.get("x-a")).toBe("é");
  });

  test.each(["a\r\nhost: b", "a\nb", "a\0", "€"])(
    "with the header value %j is not made",
    async (value) => {
      await using server = serve(() => new Response("abc"));
      const sent = largeAnswers()(get(server.origin, { headers: { "x-a": value } }));
      expect(await errorOf(sent)).toBeInstanceOf(TypeError);
      expect(server.seen).toHaveLength(0);
    },
  );

  test("ends with the reason of its interruption: before, while it waits and while it is answered", async () => {
    const reason = new Error("Interrupted");
    const early = largeAnswers()(get("http://127.0.0.1:1/", { signal: AbortSignal.abort(reason) }));
    expect(await errorOf(early)).toBe(reason);
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    await using server = serveBytes(() => resolve());
    const controller = new AbortController();
    const waiting = errorOf(largeAnswers()(get(server.origin, { signal: controller.signal })));
    await asked;
    controller.abort(reason);
    expect(await waiting).toBe(reason);
  });

  test("ends when it is interrupted in the moment in which it is connected", async () => {
    const reason = new Error("Interrupted");
    await using server = serveBytes(() => undefined);
    const controller = new AbortController();
    const { signal } = controller;
    const remove = signal.removeEventListener.bind(signal);
    signal.removeEventListener = (...listener: Parameters<typeof remove>) => {
      remove(...listener);
      controller.abort(reason);
    };
    expect(await errorOf(largeAnswers()(get(server.origin, { signal })))).toBe(reason);
  });
});

describe("an answer", () => {
  test("comes whole, however it is cut on its way", async () => {
    const whole = ok("\r\n\r\nabc", "X-A: 1\r\n");
    for (const size of [1, 2, 3, 7, whole.length]) {
      await using server = serveBytes((socket) => dribble(socket, whole, size));
      expect(await textOf(largeAnswers(), get(server.origin))).toBe("\r\n\r\nabc");
    }
  });

  test.each([
    ["is kept", "", false],
    ["is closed behind it", "Connection: close\r\n", true],
  ])(
    "of several megabytes has every byte when its connection %s, for a slow reader too",
    async (_, header, close) => {
      const bytes = Buffer.alloc(5_000_011, "0123456789abcdef!");
      await using server = await serveNode((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${header}Content-Length: ${bytes.length}\r\n\r\n`);
        if (close) socket.end(bytes);
        else socket.write(bytes);
      });
      for (const pause of [0, 2]) {
        const answer = await largeAnswers()(get(server.origin));
        const chunks: Uint8Array[] = [];
        for (;;) {
          const { done, value } = (await answer?.body.read()) ?? { done: true };
          if (done) break;
          if (value !== undefined) chunks.push(value);
          if (pause > 0) await Bun.sleep(pause);
        }
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      }
    },
  );

  test.each([
    [
      "chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0001\r\nc\r\n0\r\nX-T: 1\r\n\r\n",
    ],
    [
      "sizes of chunks that are filled up with zeros",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"3".padStart(20, "0")}\r\nabc\r\n0\r\n\r\n`,
    ],
    [
      "a part of compressed content",
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ["hints in front", `HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${ok("abc")}`],
  ])("with %s is read, and its connection kept", async (_, bytes) => {
    for (const size of [1, 3, bytes.length]) {
      await using server = countConnections((socket) => dribble(socket, bytes, size));
      const ask = largeAnswers();
      for (let times = 0; times < 2; times += 1) {
        expect(await textOf(ask, get(server.origin))).toBe("abc");
      }
      expect(server.connections).toHaveLength(1);
    }
  });

  test("without a length goes on to the connection's end", async () => {
    await using server = countConnections(
      (socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nabc"),
    );
    const ask = largeAnswers();
    for (const _ of [1, 2]) expect(await textOf(ask, get(server.origin))).toBe("abc");
    expect(server.connections).toHaveLength(2);
  });

  test.each([
    ["end early", "3\r\nab"],
    ["are longer than they say", "3\r\nabcd\r\n"],
    ["have a size below zero", "-1\r\n"],
    ["have no size", "\r\n"],
    ["have lines of another end", "3\nabc"],
    ["have a size without an end", "1".repeat(9000)],
    ["have a trailer without an end", "0\r\n"],
  ])("whose chunks %s is an error", async (_, chunks) => {
    await using server = serveBytes((socket) => {
      socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    });
    expect(await errorOf(textOf(largeAnswers(), get(server.origin)))).toBeInstanceOf(Error);
  });

  test.each([
    ["of two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"],
    [
      "of a length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    ],
    ["of another version", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"],
    ["with a head that does not end", `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(70_000)}`],
    ["with hints that do not end", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9)],
    ["with lines that end in LF alone", "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"],
    ["with one such line", "HTTP/1.1 200 OK\r\nContent-Length: 3\n\r\nabc"],
    ["with a control character beside its status", `HTTP/1.1 200 O\0K\r\n${ok("abc").slice(17)}`],
    ["in another protocol", "SSH-2.0-OpenSSH_9.9\r\n"],
  ])("%s is left to fetch, and so is all that comes from there", async (_, bytes) => {
    await using server = countConnections((socket) => void socket.write(bytes));
    const ask = largeAnswers();
    expect(await ask(get(server.origin))).toBeUndefined();
    expect(await ask(get(server.origin))).toBeUndefined();
    expect(server.connections).toHaveLength(1);
  });
});

describe("over TLS", () => {
  let certificates: LocalCertificates;
  let server: Bun.Server<unknown>;
  beforeAll(async () => {
    certificates = await makeCertificates();
    server = Bun.serve({ port: 0, tls: certificates, fetch: () => new Response("abc") });
  });
  afterAll(() => server.stop(true));

  test("who trusts the authority is served, by name and by address", async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const ask = largeAnswers();
      const request = get(`https://${host}:${server.port}/`, { tls: { ca: [certificates.ca] } });
      for (const _ of [1, 2]) expect(await textOf(ask, request)).toBe("abc");
    }
  });

  test("nobody else is, but for who asks for no check", async () => {
    const url = `https://localhost:${server.port}/`;
    expect(await errorOf(largeAnswers()(get(url)))).toBeInstanceOf(Error);
    expect(await textOf(largeAnswers(), get(url, { tls: { insecure: true } }))).toBe("abc");
  });

  test("who must show a certificate and has none is told so", async () => {
    const { ca, cert, key } = certificates;
    const asking = createTlsServer({ ca, cert, key, requestCert: true }).on(
      "tlsClientError",
      () => undefined,
    );
    await once(asking.listen(0, "127.0.0.1"), "listening");
    const url = `https://127.0.0.1:${(asking.address() as AddressInfo).port}/`;
    const failure = await errorOf(largeAnswers()(get(url, { tls: { ca: [ca] } })));
    expect(failure).toMatchObject({ code: expect.stringContaining("CERTIFICATE_REQUIRED") });
    asking.close();
  });

  test("a slow reader holds the server back", async () => {
    const { ca, cert, key } = certificates;
    let sent = 0;
    const fast = createTlsServer({ cert, key }, (socket) => {
      const piece = Buffer.alloc(1024 * 1024);
      const send = () => {
        while (!socket.destroyed && sent < 1024 * piece.length) {
          sent += piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on("drain", send).on("error", () => undefined);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${1024 * piece.length}\r\n\r\n`);
      send();
    });
    await once(fast.listen(0, "127.0.0.1"), "listening");
    const url = `https://127.0.0.1:${(fast.address() as AddressInfo).port}/`;
    const answer = await largeAnswers()(get(url, { tls: { ca: [ca] } }));
    await answer?.body.read();
    for (let before = -1; before !== sent; await Bun.sleep(200)) before = sent;
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    await answer?.body.cancel();
    fast.close();
  });

  test("a certificate for another name is refused", async () => {
    const other = `https://127.0.0.2:${server.port}/`;
    const failure = await errorOf(largeAnswers()(get(other, { tls: { ca: [certificates.ca] } })));
    expect(failure).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  });
});
