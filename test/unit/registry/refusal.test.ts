import { expect, test } from "bun:test";
import type { OcibundleError } from "../../../src/errors.ts";
import { never, recordedClock, serve } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import { blobOf, repositoryAt } from "../../support/registry/registry-client.ts";

const blob = blobOf("0123456789");

/** What a user is told of an answer to a blob's lookup. */
async function told(answer: () => Response): Promise<OcibundleError & { host: string }> {
  await using server = serve(answer);
  const repository = repositoryAt(server.host, { clock: recordedClock() });
  const failure = await errorOf(repository.getBlob(blob, undefined, never));
  return Object.assign(failure as OcibundleError, { host: server.host });
}

test.each([401, 403])("a %d of where the registry leads asks for no login", async (status) => {
  await using storage = serve(() => new Response("", { status }));
  const location = `${storage.origin}/bucket?sig=secret`;
  const { message, code, hint, host } = await told(
    () => new Response("", { status: 307, headers: { location } }),
  );
  expect(code).toBe("denied");
  expect(message).toEndWith(` at ${storage.host}, to which the registry redirects: ${status}`);
  expect(hint).toBe(
    `credentials of ${host} are not sent to that host; the signed URL may have expired`,
  );
});

test("a 401 of the registry itself does", async () => {
  const { hint, host } = await told(() => new Response("", { status: 401 }));
  expect(hint).toBe(`log in with \`ocibundle login ${host}\``);
});

test("a 400 to plain HTTP without a reason may come from a server of TLS", async () => {
  const { hint, host } = await told(() => new Response("", { status: 400 }));
  expect(hint).toBe(
    `check that ${host} is a registry; if it uses HTTPS, use --ca-file or --insecure`,
  );
});

test("a wait that is too long is named, with the longest there is", async () => {
  const { hint } = await told(
    () => new Response("", { status: 429, headers: { "retry-after": "3600" } }),
  );
  expect(hint).toBe("the registry asks to retry after 3600 s, longer than the limit of 300 s");
});
