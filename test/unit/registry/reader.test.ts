import { expect, test } from "bun:test";
import { registryReader } from "../../../src/registry/reader.ts";
import { failureError } from "../../../src/http/message/failure.ts";
import type { Repository } from "../../../src/registry/types.ts";
import { never, recordedClock, serveBytes } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import { blobOf, readAll, repositoryAt } from "../../support/registry/registry-client.ts";

const content = "0123456789abcdef";
const blob = blobOf(content);

/** A server that stops after so many bytes of each answer, and the ranges it was asked for. */
function serveShort(bytes: number, ranges = true) {
  const asked: string[] = [];
  const server = serveBytes((socket, head) => {
    const range = /range: bytes=(\d+)-(\d+)/i.exec(head);
    asked.push(range?.[0] ?? "whole");
    const start = ranges ? Number(range?.[1] ?? 0) : 0;
    const end = ranges ? Number(range?.[2] ?? content.length - 1) + 1 : content.length;
    const status =
      ranges && range !== null
        ? `206 Partial\r\nContent-Range: bytes ${start}-${end - 1}/${content.length}`
        : "200 OK";
    const sent = content.slice(start, Math.min(end, start + bytes));
    socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${end - start}\r\n\r\n${sent}`);
  });
  return { server, asked };
}

async function open(host: string, start: number, end: number): Promise<string> {
  const source = await registryReader(repositoryAt(host, { idleTimeout: 50 })).blobSource(
    blob,
    never,
  );
  if (source.kind !== "stream") throw new Error("a registry streams");
  return readAll(await source.open({ start, end }, never));
}

test("a blob that breaks off goes on where it was", async () => {
  const { server, asked } = serveShort(7);
  await using _ = server;
  expect(await open(server.host, 0, 16)).toBe(content);
  expect(asked).toEqual(["whole", "Range: bytes=7-15", "Range: bytes=14-15"]);
});

test("a part that breaks off does too", async () => {
  const { server } = serveShort(2);
  await using _ = server;
  expect(await open(server.host, 3, 10)).toBe(content.slice(3, 10));
});

test("where there are no ranges what is known is skipped, as far as it gets", async () => {
  const { server } = serveShort(16, false);
  await using _ = server;
  expect(await open(server.host, 3, 10)).toBe(content.slice(3, 10));
});

test.each([
  [30_000, true],
  [90_000, false],
])("a registry that is away for %d ms half-way is waited for: %p", async (away, isWaitedFor) => {
  const { server } = serveShort(7);
  await using _ = server;
  const clock = recordedClock();
  const repository = repositoryAt(server.host, { idleTimeout: 50, clock });
  let back: number | undefined;
  const leaving: Repository = {
    ...repository,
    async getBlob(descriptor, range, signal) {
      if (range !== undefined) back ??= clock.now() + away;
      if (clock.now() < (back ?? 0)) throw failureError("registry.test", "refused");
      return repository.getBlob(descriptor, range, signal);
    },
  };
  const source = await registryReader(leaving, clock).blobSource(blob, never);
  if (source.kind !== "stream") throw new Error("a registry streams");
  const read = readAll(await source.open({ start: 0, end: 16 }, never));
  if (isWaitedFor) expect(await read).toBe(content);
  else expect(await errorOf(read)).toMatchObject({ code: "network" });
});

test("a blob of which no byte comes is given up", async () => {
  const { server, asked } = serveShort(0);
  await using _ = server;
  expect(await errorOf(open(server.host, 0, 16))).toMatchObject({ code: "network" });
  expect(asked).toHaveLength(4);
});
