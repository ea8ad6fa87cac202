import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type RunningServer,
  serveHttp,
} from "../../../src/harness/registry/instance/http-server.ts";
import { runtime } from "../../../src/runtime/current.ts";

const size = 5_000_000;
let directory: string;
let path: string;
let server: RunningServer | undefined;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-runtime-"));
  path = join(directory, "weights.bin");
  writeFileSync(path, new Uint8Array(size).fill(7));
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

const serve = async (handle: (request: Request) => Promise<Response>, hostname = "127.0.0.1") => {
  server = await serveHttp({ hostname, port: 0, handle });
  return `http://${hostname}:${server.port}`;
};

describe("fileBody", () => {
  test("is sent with its Content-Length, and can be sent again", async () => {
    const seen: [string | null, number][] = [];
    const url = await serve(async (request) => {
      const bytes = await request.arrayBuffer();
      seen.push([request.headers.get("content-length"), bytes.byteLength]);
      return new Response(null, { status: 201 });
    });
    const body = await runtime.fileBody(path, 10, size - 10);
    for (const _ of [1, 2]) {
      const response = await fetch(url, { method: "PUT", body, ...runtime.connection({}) });
      expect(response.status).toBe(201);
    }
    expect(seen).toEqual([
      [String(size - 20), size - 20],
      [String(size - 20), size - 20],
    ]);
  });
});

describe("connection", () => {
  test("goes through a proxy, for loopback addresses too", async () => {
    const proxy = await serve((request) => Promise.resolve(new Response(`to ${request.url}`)));
    const answer = await fetch("http://127.0.0.1:9/there", runtime.connection({ proxy }));
    expect(await answer.text()).toBe("to http://127.0.0.1:9/there");
  });

  test("is direct without one, whatever the environment says", async () => {
    const url = await serve(() => Promise.resolve(new Response("direct")));
    const before = process.env.HTTP_PROXY;
    process.env.HTTP_PROXY = "http://127.0.0.1:9";
    try {
      const answer = await fetch(url, runtime.connection({}));
      expect(await answer.text()).toBe("direct");
    } finally {
      if (before === undefined) delete process.env.HTTP_PROXY;
      else process.env.HTTP_PROXY = before;
    }
  });

  test("trusts a further CA, or none at all where that is asked for", async () => {
    const { cert, key } = selfSigned();
    server = await serveHttp({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert, key },
      handle: () => Promise.resolve(new Response("trusted")),
    });
    const url = `https://127.0.0.1:${server.port}`;
    await expect(fetch(url, runtime.connection({}))).rejects.toThrow();
    const withCa = await fetch(url, runtime.connection({ tls: { ca: [cert] } }));
    expect(await withCa.text()).toBe("trusted");
    const insecure = await fetch(url, runtime.connection({ tls: { insecure: true } }));
    expect(await insecure.text()).toBe("trusted");
  });
});

test("selfCommand names the runtime and the program", () => {
  const [command, ...rest] = runtime.selfCommand();
  expect(existsSync(command)).toBe(true);
  expect(rest).toEqual([join(import.meta.dir, "../../../src/main.ts")]);
});

const makeCertificate =
  "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1".split(
    " ",
  );

/** A certificate for 127.0.0.1 and its key, as PEM texts. */
function selfSigned(): { cert: string; key: string } {
  const files = { key: join(directory, "key.pem"), cert: join(directory, "cert.pem") };
  const made = Bun.spawnSync([...makeCertificate, "-keyout", files.key, "-out", files.cert], {
    stderr: "pipe",
  });
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return { cert: readFileSync(files.cert, "utf8"), key: readFileSync(files.key, "utf8") };
}
