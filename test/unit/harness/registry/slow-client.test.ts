import { expect, spyOn, test } from "bun:test";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { afterwards } from "../../../support/afterwards.ts";

test("a body that waits for its client again and again leaves no listeners behind", async () => {
  const pieces = 200;
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle: () => {
      let left = pieces;
      const body = new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(512 * 1024));
          left -= 1;
          if (left === 0) controller.close();
        },
      });
      return Promise.resolve(new Response(body));
    },
  });
  afterwards(() => server.stop());
  const added = spyOn(AbortSignal.prototype, "addEventListener");
  const removed = spyOn(AbortSignal.prototype, "removeEventListener");
  afterwards(async () => added.mockRestore());
  afterwards(async () => removed.mockRestore());
  const answer = await fetch(`http://127.0.0.1:${server.port}/`);
  expect((await answer.arrayBuffer()).byteLength).toBe(pieces * 512 * 1024);
  expect(added.mock.calls.length).toBeGreaterThan(pieces / 4);
  expect(added.mock.calls.length - removed.mock.calls.length).toBeLessThan(10);
});
