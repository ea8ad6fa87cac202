import { beforeAll, expect, test } from "bun:test";
import { httpFailureOf } from "../../../src/http/message/failure.ts";
import { detectTls } from "../../../src/http/detect-tls.ts";
import {
  type LocalCertificates,
  makeCertificates,
} from "../../../src/harness/registry/instance/certificate.ts";
import { bottom, get, serveBytes } from "../../support/registry/scripted-server.ts";
import { failureOf } from "../../support/failure.ts";

let certificates: LocalCertificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

test("a server of TLS that is asked in plain HTTP is told, with the way out", async () => {
  const { cert, key } = certificates;
  await using running = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key },
    fetch: () => new Response("hello"),
  });
  const url = `http://127.0.0.1:${running.port}/v2/`;
  const error = await failureOf(detectTls(bottom(), {})(get(url)));
  expect(error.message).toBe(
    `127.0.0.1:${running.port}: the server requires HTTPS, but plain HTTP was used`,
  );
  expect(error.hint).toBe("use --ca-file or --insecure");
  // Of a kind that is not tried again.
  expect(httpFailureOf(error)?.kind).toBe("tls");
});

test("one that breaks off and speaks no TLS has broken off", async () => {
  let connections = 0;
  await using broken = serveBytes((socket) => {
    connections += 1;
    socket.end();
  });
  const error = await failureOf(detectTls(bottom(), {})(get(broken.origin)));
  expect(httpFailureOf(error)?.kind).toBe("reset");
  expect(connections).toBe(2);
});

test("one that has answered before is not asked for a handshake", async () => {
  let connections = 0;
  await using flaky = serveBytes((socket) => {
    connections += 1;
    if (connections === 1) {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    socket.end();
  });
  const send = detectTls(bottom(), {});
  expect((await send(get(flaky.origin))).status).toBe(200);
  expect(httpFailureOf(await failureOf(send(get(flaky.origin))))?.kind).toBe("reset");
  expect(connections).toBe(2);
});

test("an interruption ends the handshake with one that says nothing", async () => {
  let connections = 0;
  const abort = new AbortController();
  await using silent = serveBytes((socket) => {
    connections += 1;
    if (connections === 1) socket.end();
    else abort.abort(new Error("enough"));
  });
  const started = performance.now();
  const work = detectTls(bottom(), {})(get(silent.origin, { signal: abort.signal }));
  expect(httpFailureOf(await failureOf(work))?.kind).toBe("reset");
  expect(connections).toBe(2);
  expect(performance.now() - started).toBeLessThan(1500);
});
