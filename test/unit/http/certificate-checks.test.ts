import { describe, expect, test } from "bun:test";
import { makeCertificates } from "../../../src/harness/registry/instance/certificate.ts";
import { runtime } from "../../../src/runtime/current.ts";
import { bottom, get } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

const day = 24 * 60 * 60 * 1000;

/** Asks a server whose certificate was made at a time, by fetch and by a connection of our own. */
async function failuresAt(time: number): Promise<{ message: string; hint: unknown }[]> {
  const { ca, cert, key } = await makeCertificates(time);
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key },
    fetch: () => new Response("abc"),
  });
  const send = bottom({
    tls: () => Promise.resolve({ ca: [ca] }),
    connection: (wanted) => runtime.connection(wanted),
  });
  const failures = [];
  for (const large of [false, true]) {
    const failure = await errorOf(send(get(`https://127.0.0.1:${server.port}/`, { large })));
    const { message, hint } = failure as Error & { hint?: unknown };
    failures.push({ message: message.replace(server.url.host, "host"), hint });
  }
  return failures;
}

describe("a certificate", () => {
  test("that is not yet valid says what the clock says", async () => {
    for (const { message, hint } of await failuresAt(Date.now() + 2 * day)) {
      expect(message).toEndWith(": the TLS certificate is not yet valid");
      expect(hint).toMatch(
        /^the clock of this machine is at 20\d\d-\d\d-\d\dT\d\d:\d\dZ: correct the clock if it is behind/,
      );
    }
  });

  test("that has expired too", async () => {
    for (const { message, hint } of await failuresAt(Date.now() - 31 * day)) {
      expect(message).toEndWith(": the TLS certificate has expired");
      expect(hint).toMatch(/^the clock of this machine is at .*: correct the clock if it is ahead/);
    }
  });
});
