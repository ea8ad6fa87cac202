import { expect, test } from "bun:test";
import { inspect } from "node:util";
import type { Credential } from "../../../src/http/auth/credential.ts";
import { never, recordedClock, serve } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  bodyOf,
  openUpload,
  repositoryAt,
} from "../../support/registry/registry-client.ts";

const blob = blobOf("0123456789");

/**
 * Goes through a registry with secrets everywhere (a password, tokens, signed URLs, sessions), each
 * request failing at last, and resolves to all that was said: errors with their causes, and events.
 */
async function everythingSaid(credential: Credential): Promise<string> {
  await using storage = serve(() => new Response("expired: tok-storage", { status: 403 }));
  await using server = serve(({ method, path, headers }) => {
    if (path.startsWith("/token")) return Response.json({ token: "tok-access", expires_in: 600 });
    if (headers.get("authorization") !== "Bearer tok-access") {
      const challenge = `Bearer realm="${server.origin}/token?key=tok-realm",service="s"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    if (method === "POST") {
      return new Response("", { status: 202, headers: { location: "/u/1?_state=tok-state" } });
    }
    if (path.includes("/blobs/")) {
      const location = `${storage.origin}/bucket?X-Amz-Signature=tok-signature`;
      return new Response("", { status: 307, headers: { location } });
    }
    const message = `try https://x.test/y?sig=tok-message`;
    return Response.json({ errors: [{ code: "UNKNOWN", message }] }, { status: 500 });
  });
  const said: unknown[] = [];
  const repository = repositoryAt(server.host, {
    clock: recordedClock(),
    emit: (event) => said.push(event),
    credentials: () => Promise.resolve(credential),
  });
  said.push(await errorOf(repository.getBlob(blob, undefined, never)));
  said.push(await errorOf(repository.getManifest("v1", never)));
  const session = await openUpload(repository);
  said.push(await errorOf(session.patchAll(bodyOf("0123456789"), never)));
  said.push(await errorOf(session.finish(blob.digest, undefined, never)));
  await server[Symbol.asyncDispose]();
  said.push(await errorOf(session.patchAll(bodyOf("0123456789"), never)));
  return inspect(said, { depth: 20, showHidden: true });
}

test.each<[string, Credential, string]>([
  ["a password", { kind: "password", username: "ada", password: "tok-password" }, "Basic"],
  ["a password's token", { kind: "password", username: "ada", password: "tok-password" }, "Bearer"],
  ["a refresh token", { kind: "refresh", token: "tok-refresh" }, "Bearer"],
  ["a registry token", { kind: "bearer", token: "tok-given" }, "Basic"],
])("a registry that repeats %s is not repeated", async (_, credential, scheme) => {
  const given = credential.kind === "password" ? credential.password : credential.token;
  await using server = serve(({ path, headers }) => {
    if (path.startsWith("/token")) return Response.json({ token: "tok-access", expires_in: 600 });
    const sent = headers.get("authorization")?.split(" ")[1];
    if (sent === undefined) {
      const challenge = `${scheme} realm="${server.origin}/token"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    // Long, so that its end is left out, which may be in the middle of a secret.
    const message = `no ${sent} here, and ${"no ".repeat(56)}${given}`;
    return Response.json({ errors: [{ code: "DENIED", message }] }, { status: 403 });
  });
  const repository = repositoryAt(server.host, {
    credentials: () => Promise.resolve(credential),
  });
  const question = { method: "GET", path: "acme/llama/tags/list" };
  const failure = await errorOf(repository.getManifest("v1", never));
  const { said } = await repository.registry.ask(question, never);
  for (const words of [inspect(failure, { depth: 20, showHidden: true }), said]) {
    expect(words).toContain("DENIED: no *** here");
    const own = credential.kind === "password" ? credential.password : credential.token;
    for (const secret of [own, "tok-access", btoa("ada:tok-password")]) {
      expect(words).not.toContain(secret);
    }
  }
});

test.each<Credential>([
  { kind: "password", username: "ada", password: "tok-password" },
  { kind: "refresh", token: "tok-refresh", username: "ada" },
])("no secret of a $kind credential is in what is said", async (credential) => {
  const said = await everythingSaid(credential);
  expect(said).toContain("/bucket");
  expect(said).toContain("wait");
  expect(said).not.toMatch(/tok-[a-z]+/);
  expect(said).not.toContain(btoa("ada:tok-password"));
});
