import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import { httpFailureOf } from "../../../src/http/message/failure.ts";
import { runtime } from "../../../src/runtime/current.ts";
import { makeCertificates } from "../../../src/harness/registry/instance/certificate.ts";
import {
  bottom,
  brokenBody,
  get,
  serve,
  serveBytes,
  textOf,
} from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

const abc = { size: 3, make: () => Promise.resolve(new Blob(["abc"])) };
const manifest = '{ "schemaVersion":2,\n  "a": 1.0 }\n';

/** Answers come through fetch, or where they may be large over connections of our own. */
const ways = [
  { way: "fetch", large: false },
  { way: "connections of our own", large: true },
];

describe.each(ways)("what is answered comes as it is, over $way", ({ large }) => {
  test.each([
    "application/vnd.oci.image.manifest.v1+json",
    "application/json",
    "text/html",
    "application/octet-stream",
    "",
  ])("bytes of content type %p are not parsed", async (type) => {
    await using server = serve(
      () => new Response(new TextEncoder().encode(manifest), { headers: { "content-type": type } }),
    );
    const response = await bottom()(get(server.origin, { large }));
    expect(await textOf(response.body)).toBe(manifest);
  });

  test.each([301, 307, 401, 404, 500])("status %d is no error", async (status) => {
    await using server = serve(() => new Response("x", { status, headers: { location: "/y" } }));
    const response = await bottom()(get(server.origin, { large }));
    expect(response.status).toBe(status);
    expect(server.seen).toHaveLength(1);
    await response.body?.cancel();
  });

  test("a HEAD keeps the length of what it is about", async () => {
    await using server = serveBytes((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n\r\n");
    });
    const response = await bottom()(get(server.origin, { large, method: "HEAD" }));
    expect(response.headers.get("content-length")).toBe("123456789012");
    expect(response.body).toBeUndefined();
  });
});

const refuse = (): never => {
  throw new OcibundleError("network", "not there");
};

describe("the addresses of a name", () => {
  test.each(ways)("are judged where the connection is made, over $way", async ({ large }) => {
    await using server = serve(() => new Response("x"));
    const host = `localhost:${new URL(server.origin).port}`;
    const judged: string[] = [];
    const checkAddresses = (name: string, addresses: readonly string[]): void => {
      judged.push(name, ...addresses);
    };
    const asked = get(`http://${host}`, { large, checkAddresses });
    expect(await textOf((await bottom()(asked)).body)).toBe("x");
    expect(judged).toContain("127.0.0.1");
    expect(server.seen[0]?.headers.get("host")).toBe(host);

    const refused = get(`http://${host}`, { large, checkAddresses: refuse });
    expect((await errorOf(bottom()(refused))).message).toBe("not there");
    expect(server.seen).toHaveLength(1);
  });
});

describe("what is sent", () => {
  test("a POST and a PUT without a body say that they have none", async () => {
    await using server = serve(() => new Response());
    for (const method of ["POST", "PUT"]) await bottom()(get(server.origin, { method }));
    expect(server.seen.map(({ headers }) => headers.get("content-length"))).toEqual(["0", "0"]);
    expect(server.seen.map(({ headers }) => headers.get("content-type"))).toEqual([null, null]);
  });

  test("a body is made for the request and goes out with its length, not in pieces", async () => {
    await using server = serve(() => new Response());
    await bottom()(get(server.origin, { method: "PATCH", body: abc }));
    const [seen] = server.seen;
    expect(seen?.headers.get("content-length")).toBe("3");
    expect(seen?.headers.get("transfer-encoding")).toBeNull();
    expect(new TextDecoder().decode(seen?.body)).toBe("abc");
  });

  test("what is stored is asked for as it is stored", async () => {
    await using server = serve(() => new Response());
    await bottom()(get(server.origin));
    expect(server.seen[0]?.headers.get("accept-encoding")).toBe("identity");
    expect(server.seen[0]?.headers.get("user-agent")).toBe("ocibundle/test");
  });

  test("a body that can't be made fails as itself", async () => {
    await using server = serve(() => new Response());
    const sent = bottom()(get(server.origin, { method: "PATCH", body: brokenBody(3) }));
    expect(await errorOf(sent)).toMatchObject({ code: "integrity", message: "the file changed" });
  });

  test("a body that fails on its way fails as itself", async () => {
    await using server = serve(() => new Response());
    const body = {
      size: 6,
      make: () =>
        Promise.resolve(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(new TextEncoder().encode("abc"));
              controller.error(new OcibundleError("integrity", "the file changed"));
            },
          }),
        ),
    };
    const failure = await errorOf(bottom()(get(server.origin, { method: "PATCH", body })));
    expect(failure).toMatchObject({ code: "integrity", message: "the file changed" });
  });
});

const kindOf = async (promise: Promise<unknown>): Promise<string | undefined> => {
  const failure = await errorOf(promise);
  expect(failure).toMatchObject({ code: "network" });
  return httpFailureOf(failure)?.kind;
};

describe.each(ways)("what breaks has a name, over $way", ({ large }) => {
  test("nothing listens", async () => {
    const server = serve(() => new Response());
    await server[Symbol.asyncDispose]();
    expect(await kindOf(bottom()(get(server.origin, { large })))).toBe("refused");
  });

  test("the host does not exist", async () => {
    expect(await kindOf(bottom()(get("http://no-such-host.invalid/", { large })))).toBe("name");
  });

  test("the connection is closed without an answer", async () => {
    await using server = serveBytes((socket) => socket.end());
    expect(await kindOf(bottom()(get(server.origin, { large })))).toBe("reset");
  });

  test("https is spoken to a server that has none", async () => {
    await using server = serveBytes((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const failure = await errorOf(
      bottom()(get(server.origin.replace("http:", "https:"), { large })),
    );
    expect(httpFailureOf(failure)?.kind).toBe("tls");
    expect((failure as OcibundleError).hint).toContain("--plain-http");
  });

  test("http is spoken to what may have only https", async () => {
    await using server = serveBytes((socket) => socket.end());
    const failure = await errorOf(bottom()(get(server.origin, { large })));
    expect((failure as OcibundleError).hint).toContain("--ca-file or --insecure");
  });

  test("no answer comes in time", async () => {
    await using server = serve(() => new Promise<Response>(() => undefined));
    const failure = await errorOf(bottom({ firstByteTimeout: 50 })(get(server.origin, { large })));
    expect(httpFailureOf(failure)?.kind).toBe("timeout");
  });

  test("a body stops", async () => {
    await using server = serveBytes((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    });
    const response = await bottom({ idleTimeout: 50 })(get(server.origin, { large }));
    expect(await kindOf(textOf(response.body))).toBe("stalled");
  });

  test("a slow reader is no stall", async () => {
    await using server = serveBytes((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
    });
    const response = await bottom({ idleTimeout: 20 })(get(server.origin, { large }));
    await Bun.sleep(60);
    expect(await textOf(response.body)).toBe("abcdef");
  });

  test("a body ends early", async () => {
    await using server = serveBytes((socket) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    });
    const response = await bottom()(get(server.origin, { large }));
    expect(await kindOf(textOf(response.body))).toBe("reset");
  });

  test("a chunked body ends early", async () => {
    await using server = serveBytes((socket) => {
      socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    });
    const response = await bottom()(get(server.origin, { large }));
    expect(await kindOf(textOf(response.body))).toBe("reset");
  });

  test("an interruption is thrown as what it is, before and in the middle of a body", async () => {
    const reason = new OcibundleError("interrupted", "Interrupted");
    await using server = serveBytes((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    });
    const early = bottom()(get(server.origin, { large, signal: AbortSignal.abort(reason) }));
    expect(await errorOf(early)).toBe(reason);
    const controller = new AbortController();
    const response = await bottom()(get(server.origin, { large, signal: controller.signal }));
    const reading = textOf(response.body);
    controller.abort(reason);
    expect(await errorOf(reading)).toBe(reason);
  });

  test("queries of URLs, which may hold signatures, are in no message", async () => {
    const url = "http://no-such-host.invalid/x?X-Amz-Signature=secret";
    const failure = await errorOf(bottom()(get(url, { large })));
    expect(failure.message).not.toContain("secret");
    expect((failure as OcibundleError).hint).not.toContain("secret");
  });
});

test.each([
  [true, 0],
  [false, 1],
])(
  "a large answer over TLS goes past fetch only where paused sockets stop reading: %s",
  async (pausesTls, fetches) => {
    const { ca, cert, key } = await makeCertificates();
    await using server = Bun.serve({
      port: 0,
      tls: { cert, key },
      fetch: () => new Response("abc"),
    });
    const seen: unknown[] = [];
    const send = bottom({
      pausesTls,
      tls: () => Promise.resolve({ ca: [ca] }),
      connection(wanted) {
        seen.push(wanted);
        return runtime.connection(wanted);
      },
    });
    const response = await send(get(`https://localhost:${server.port}/`, { large: true }));
    expect(await textOf(response.body)).toBe("abc");
    expect(seen).toHaveLength(fetches);
  },
);
