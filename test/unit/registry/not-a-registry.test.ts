import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import type { Repository } from "../../../src/registry/types.ts";
import { never, serveBytes } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  openUpload,
  repositoryAt,
  scripted,
} from "../../support/registry/registry-client.ts";

const MiB = 1024 * 1024;
const html = (): Response =>
  new Response("<!doctype html><title>Welcome</title>", {
    headers: { "content-type": "text/html" },
  });

/** A body of a gigabyte, with a count of what was taken of it. */
function gigabyte(taken: { bytes: number }): Response {
  const chunk = new Uint8Array(256 * 1024).fill(0x20);
  return new Response(
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (taken.bytes >= 1024 * MiB) return controller.close();
        taken.bytes += chunk.byteLength;
        controller.enqueue(chunk);
      },
    }),
    { headers: { "content-type": "application/json" } },
  );
}

const asks: [string, (repository: Repository) => Promise<unknown>][] = [
  ["a manifest", (repository) => repository.getManifest("v1", never)],
  ["a manifest's head", (repository) => repository.headManifest("v1", never)],
  ["an upload", (repository) => openUpload(repository)],
  ["the tags", (repository) => Array.fromAsync(repository.listTags(never))],
  ["a blob", (repository) => repository.getBlob(blobOf("0123456789"), undefined, never)],
];

describe.each(asks)("what is no registry, asked for %s,", (_, ask) => {
  const checked = async (repository: Repository): Promise<Error> => {
    const failure = await errorOf(ask(repository));
    expect(failure).toBeInstanceOf(OcibundleError);
    expect(["network", "integrity", "not_found"]).toContain((failure as OcibundleError).code);
    expect(failure.message).toContain("/acme/llama: ");
    return failure;
  };

  test("answers with a web page", async () => {
    await using server = scripted(html);
    await checked(server.repository);
  });

  test("answers with a web page that says it is not found", async () => {
    await using server = scripted(() => new Response("<html>", { status: 410 }));
    await checked(server.repository);
  });

  test("answers with nothing", async () => {
    await using server = scripted(() => new Response(""));
    await checked(server.repository);
  });

  test("redirects in a circle", async () => {
    await using server = scripted(
      ({ path }) => new Response("", { status: 307, headers: { location: path } }),
    );
    expect((await checked(server.repository)).message).toContain("redirected more than 10 times");
  });

  test("answers with a gigabyte, of which little is read", async () => {
    const taken = { bytes: 0 };
    await using server = scripted(() => gigabyte(taken));
    const failure = await errorOf(ask(server.repository)).catch(() => undefined);
    if (failure !== undefined) expect(failure).toBeInstanceOf(OcibundleError);
    expect(taken.bytes).toBeLessThan(128 * MiB);
  });

  test("answers with an error of a gigabyte, of which little is read", async () => {
    const taken = { bytes: 0 };
    await using server = scripted(() => new Response(gigabyte(taken).body, { status: 400 }));
    await checked(server.repository);
    expect(taken.bytes).toBeLessThan(128 * MiB);
  });

  test("speaks no HTTP", async () => {
    await using server = serveBytes((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
    await checked(repositoryAt(server.host));
  });
});

test("a web page in a manifest's place is told apart from damage", async () => {
  await using server = scripted(html);
  const failure = await errorOf(server.repository.getManifest(blobOf("x").digest, never));
  expect(failure).toMatchObject({
    code: "network",
    hint: `check that ${server.host} is a registry`,
  });
  expect(failure.message).toContain("the response is not a manifest");
});
