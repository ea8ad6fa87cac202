import { describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { InstanceRecord } from "../../../../src/harness/registry/instance/record.ts";
import { readInstance, recordPlace } from "../../../../src/harness/registry/instance/record.ts";
import { untilIdle } from "../../../../src/harness/registry/instance/idle.ts";
import {
  runInForeground,
  type StartContext,
  startInBackground,
  type StartOptions,
} from "../../../../src/harness/registry/instance/start.ts";
import { stopRegistry } from "../../../../src/harness/registry/instance/stop.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { digestFor } from "../../../support/registry/embedded-client.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** A working directory with a state directory of its own. */
async function workingDirectory(): Promise<StartContext & { state: string }> {
  const [cwd, state] = [await temporaryDirectory(), await temporaryDirectory()];
  const context = {
    cwd,
    state,
    env: { ...process.env, XDG_RUNTIME_DIR: state },
    signal: new AbortController().signal,
  };
  afterwards(() => stopRegistry(context));
  return context;
}

const none: StartOptions = { port: undefined, storage: undefined, idleTimeout: undefined };
const url = ({ port }: InstanceRecord, path: string): string => `http://127.0.0.1:${port}${path}`;

async function push(record: InstanceRecord, content: string): Promise<string> {
  const digest = digestFor(content);
  const response = await fetch(url(record, `/v2/a/blobs/uploads/?digest=${digest}`), {
    method: "POST",
    body: content,
  });
  expect(response.status).toBe(201);
  return digest;
}

const has = async (record: InstanceRecord, digest: string): Promise<boolean> =>
  (await fetch(url(record, `/v2/a/blobs/${digest}`), { method: "HEAD" })).ok;

const closed = (record: InstanceRecord): Promise<void> =>
  expect(fetch(url(record, "/v2/"))).rejects.toThrow() as unknown as Promise<void>;

/** A registry that was killed leaves its record behind; resolves when the process is gone. */
async function kill(record: InstanceRecord): Promise<void> {
  process.kill(record.pid, "SIGKILL");
  for (let open = true; open;) {
    open = await fetch(url(record, "/v2/")).then(
      () => true,
      () => false,
    );
  }
}

describe("a registry in the background", () => {
  test("answers, is found again from its directory, and leaves nothing when it is stopped", async () => {
    const context = await workingDirectory();
    const record = await startInBackground(none, context);
    const digest = await push(record, "hello");
    expect(await startInBackground(none, context)).toEqual(record);
    expect(await has(record, digest)).toBe(true);

    expect(await stopRegistry(context)).toEqual(record);
    await closed(record);
    expect(existsSync(record.storage)).toBe(false);
    expect(await stopRegistry(context)).toBeUndefined();
    const [directory = ""] = await readdir(context.state);
    expect(await readdir(join(context.state, directory))).toEqual([]);
  });

  test("is another one in another directory", async () => {
    const [one, two] = [await workingDirectory(), await workingDirectory()];
    const records = [await startInBackground(none, one), await startInBackground(none, two)];
    expect(records[0]?.port).not.toBe(records[1]?.port);
    await stopRegistry(one);
    expect(await startInBackground(none, two)).toEqual(records[1] as InstanceRecord);
  });

  test("is started once when it is started by several at once", async () => {
    const context = await workingDirectory();
    const starts = Array.from({ length: 4 }, () => startInBackground(none, context));
    const records = await Promise.all(starts);
    expect(new Set(records.map(({ instance }) => instance)).size).toBe(1);
  });

  test("keeps a storage that was given, and has its content when it is started on it again", async () => {
    const context = await workingDirectory();
    const options = { ...none, storage: "registry" };
    const first = await startInBackground(options, context);
    expect(first.storage).toBe(join(context.cwd, "registry"));
    const digest = await push(first, "hello");
    await stopRegistry(context);
    const second = await startInBackground(options, context);
    expect(second.instance).not.toBe(first.instance);
    expect(await has(second, digest)).toBe(true);
  });

  test("ends by itself, storage and all, when nobody asks for anything", async () => {
    const context = await workingDirectory();
    const record = await startInBackground({ ...none, idleTimeout: 1 }, context);
    for (let there = true; there; there = existsSync(record.storage)) await Bun.sleep(5);
    await closed(record);
    expect(await readInstance(await recordPlace(context.cwd, context.env))).toBeUndefined();
  });

  test("that was killed is cleaned up after, and another takes its place", async () => {
    const context = await workingDirectory();
    const killed = await startInBackground(none, context);
    await kill(killed);
    expect(existsSync(killed.storage)).toBe(true);
    const record = await startInBackground(none, context);
    expect(record.instance).not.toBe(killed.instance);
    expect(existsSync(killed.storage)).toBe(false);
  });

  test("is not taken for another program that has its port now", async () => {
    const context = await workingDirectory();
    const killed = await startInBackground(none, context);
    await kill(killed);
    using stranger = Bun.serve({
      hostname: "127.0.0.1",
      port: killed.port,
      fetch: () => Response.json({}),
    });
    expect(await stopRegistry(context)).toBeUndefined();
    expect(stranger.pendingRequests).toBe(0);
    expect(existsSync(killed.storage)).toBe(false);
  });

  test("survives a record that is no record", async () => {
    const context = await workingDirectory();
    const place = await recordPlace(context.cwd, context.env);
    await writeFile(place.path, '{"version":1,"pid":-1,"storage":"/"}');
    const record = await startInBackground(none, context);
    expect(await stopRegistry(context)).toEqual(record);
  });

  test("with another port or storage than the one that runs is refused", async () => {
    const context = await workingDirectory();
    const { port } = await startInBackground({ ...none, storage: "one" }, context);
    for (const other of [{ port: port === 65535 ? 1024 : port + 1 }, { storage: "two" }]) {
      await expect(startInBackground({ ...none, ...other }, context)).rejects.toThrow(
        expect.objectContaining({
          code: "conflict",
          hint: expect.stringContaining(`127.0.0.1:${port}`),
        }),
      );
    }
    expect(await startInBackground({ ...none, port, storage: "./one" }, context)).toHaveProperty(
      "port",
      port,
    );
  });

  test("says what is wrong with its port", async () => {
    const context = await workingDirectory();
    const taken = createServer();
    const { promise: listening, resolve } = Promise.withResolvers<void>();
    taken.listen(0, "127.0.0.1", resolve);
    await listening;
    const { port } = taken.address() as { port: number };
    await expect(startInBackground({ ...none, port }, context)).rejects.toThrow(
      expect.objectContaining({
        code: "conflict",
        message: `port ${port} of 127.0.0.1: it is in use`,
        hint: expect.stringContaining("--port"),
      }),
    );
    taken.close();
  });

  test("says what is wrong with its storage", async () => {
    const context = await workingDirectory();
    await writeFile(join(context.cwd, "file"), "");
    await expect(startInBackground({ ...none, storage: "file" }, context)).rejects.toThrow(
      expect.objectContaining({
        code: "conflict",
        message: expect.stringContaining("not a directory"),
      }),
    );
  });
});

describe("a registry in the foreground", () => {
  test("runs until it is interrupted, then removes its storage", async () => {
    const abort = new AbortController();
    const context = { ...(await workingDirectory()), signal: abort.signal };
    const { promise: listening, resolve } = Promise.withResolvers<InstanceRecord>();
    const run = runInForeground(none, context, resolve);
    const record = await listening;
    await push(record, "hello");
    expect(await startInBackground(none, context)).toEqual(record);
    await expect(runInForeground(none, context, () => undefined)).rejects.toThrow(
      expect.objectContaining({ code: "conflict" }),
    );
    abort.abort(new Error("interrupted"));
    await run;
    expect(existsSync(record.storage)).toBe(false);
    await closed(record);
  });

  test("interrupted while a blob arrives keeps what came, in a storage that was given", async () => {
    const abort = new AbortController();
    const directory = await workingDirectory();
    const context = { ...directory, signal: abort.signal };
    const { promise: listening, resolve } = Promise.withResolvers<InstanceRecord>();
    const options = { ...none, storage: "registry" };
    const run = runInForeground(options, context, resolve);
    const record = await listening;
    const opened = await fetch(url(record, "/v2/a/blobs/uploads/"), { method: "POST" });
    const location = opened.headers.get("Location") ?? "";
    await fetch(url(record, location), { method: "PATCH", body: "hello" });
    const endless = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(" world")),
    });
    const pending = fetch(url(record, location), { method: "PATCH", body: endless }).catch(
      () => undefined,
    );
    abort.abort(new Error("interrupted"));
    await run;
    await pending;

    const again = await startInBackground(options, directory);
    const status = await fetch(url(again, location));
    expect(status.status).toBe(204);
    expect(["0-4", "0-10"]).toContain(status.headers.get("Range") ?? "");
  });
});

describe("idling", () => {
  test("begins when the last request has its answer", async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<Response>();
    const { handle, idle } = untilIdle(() => held, 1);
    const request = handle(new Request("http://registry.test/"));
    const first = await Promise.race([idle.then(() => "idle"), Bun.sleep(30).then(() => "busy")]);
    expect(first).toBe("busy");
    letGo(new Response("ok"));
    await request;
    await idle;
  });

  test("leaves time for a body that is still going out", async () => {
    const headers = { "Content-Length": "1000000000000" };
    const large = new Response(null, { headers });
    const { handle, idle, cancel } = untilIdle(() => Promise.resolve(large), 1);
    await handle(new Request("http://registry.test/"));
    const first = await Promise.race([idle.then(() => "idle"), Bun.sleep(30).then(() => "busy")]);
    expect(first).toBe("busy");
    cancel();
  });

  test("can be forever", async () => {
    const { handle, cancel } = untilIdle(
      () => Promise.resolve(new Response("ok")),
      Number.MAX_SAFE_INTEGER,
    );
    expect(await (await handle(new Request("http://registry.test/"))).text()).toBe("ok");
    cancel();
  });
});
