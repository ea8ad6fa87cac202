import { expect, test } from "bun:test";
import { makeCertificates } from "../../../src/harness/registry/instance/certificate.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { never, recordedClock } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

/** A server whose certificate nobody trusts, and what was shown to it. */
async function serveUntrusted(answer: (request: Request) => Response) {
  const { cert, key } = await makeCertificates();
  const seen: (string | null)[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key },
    fetch(request) {
      seen.push(request.headers.get("authorization"));
      return answer(request);
    },
  });
  return { port: server.port, seen, [Symbol.asyncDispose]: () => server.stop(true) };
}

const credential = { kind: "password", username: "ada", password: "s3cret" } as const;

/** Asks a registry that is not checked, whose token server is under a name. */
async function askWith(tokenHost: string) {
  await using tokens = await serveUntrusted(() => Response.json({ token: "t1" }));
  await using server = await serveUntrusted((request) =>
    request.headers.get("authorization") === "Bearer t1"
      ? new Response("{}")
      : new Response("{}", {
          status: 401,
          headers: {
            "www-authenticate": `Bearer realm="https://${tokenHost}:${tokens.port}/token"`,
          },
        }),
  );
  const registry = createRegistry(`127.0.0.1:${server.port}`, {
    insecure: true,
    credentials: () => Promise.resolve(credential),
    clock: recordedClock(),
  });
  const asked = await registry.ping(never).then(
    () => undefined,
    () => errorOf(registry.ping(never)),
  );
  return { failure: asked, seen: tokens.seen };
}

test("an unchecked registry's token server on the same host gets the login", async () => {
  const { failure, seen } = await askWith("127.0.0.1");
  expect(failure).toBeUndefined();
  expect(seen).toEqual([`Basic ${btoa("ada:s3cret")}`]);
});

test("one on another host is checked, and gets no login where it can't be trusted", async () => {
  const { failure, seen } = await askWith("localhost");
  expect(failure).toMatchObject({ code: "network" });
  expect(failure?.message).toContain("that this machine does not trust");
  expect(seen).toEqual([]);
});
