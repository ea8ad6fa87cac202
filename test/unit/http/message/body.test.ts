import { expect, test } from "bun:test";
import { discard, readCapped, readUpTo } from "../../../../src/http/message/body.ts";
import { bottom, get, serve } from "../../../support/registry/scripted-server.ts";
import { errorOf } from "../../../support/failure.ts";

const MiB = 1024 * 1024;

/** A server with a body of 1 GiB, and how much of it was taken. */
function serveGigabyte() {
  const sent = { bytes: 0 };
  const chunk = new Uint8Array(64 * 1024).fill(0x20);
  const server = serve(
    () =>
      new Response(
        new ReadableStream<Uint8Array>({
          pull(controller) {
            if (sent.bytes >= 1024 * MiB) return controller.close();
            sent.bytes += chunk.byteLength;
            controller.enqueue(chunk);
          },
        }),
        { headers: { "content-type": "application/json" } },
      ),
  );
  return { server, sent };
}

test("a document of a gigabyte is refused after its limit, and the rest is not fetched", async () => {
  const { server, sent } = serveGigabyte();
  await using _ = server;
  const response = await bottom()(get(server.origin));
  const failure = await errorOf(readCapped(response, 4 * MiB, "manifest"));
  expect(failure).toMatchObject({ code: "network" });
  expect(failure.message).toBe("manifest: the response is larger than 4194304 bytes");
  expect(sent.bytes).toBeLessThan(64 * MiB);
});

test("a document of exactly the limit is whole, one byte more is not", async () => {
  await using server = serve(() => new Response("abcd"));
  const read = async (limit: number) => readUpTo(await bottom()(get(server.origin)), limit);
  expect(await read(4)).toEqual({ bytes: new TextEncoder().encode("abcd"), cut: false });
  expect(await read(3)).toEqual({ bytes: new TextEncoder().encode("abc"), cut: true });
});

test("an answer nobody wants is let go of, however long it is", async () => {
  const { server, sent } = serveGigabyte();
  await using _ = server;
  await discard(await bottom()(get(server.origin)));
  expect(sent.bytes).toBeLessThan(64 * MiB);
});
