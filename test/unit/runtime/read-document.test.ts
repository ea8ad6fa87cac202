import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDocument, readDocumentSync } from "../../../src/runtime/read-document.ts";
import { isMissing, unreadableBecause } from "../../../src/runtime/file-faults.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-document-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const limit = { maxBytes: 1000 };
/** Both ways of reading, for what holds of each. */
const ways = [
  ["at once", async (...of: Parameters<typeof readDocument>) => readDocumentSync(...of)],
  ["in the background", readDocument],
] as const;

async function codeOf(reading: Promise<unknown>): Promise<unknown> {
  return reading.then(
    () => "read",
    (error: unknown) => (error as { code?: unknown }).code,
  );
}

describe.each(ways)("read %s", (_, read) => {
  test("a regular file, through a link too", async () => {
    await writeFile(join(directory, "file"), "text");
    await symlink("file", join(directory, "link"));
    expect((await read(join(directory, "file"), limit)).toString()).toBe("text");
    expect((await read(join(directory, "link"), limit)).toString()).toBe("text");
    expect(await codeOf(read(join(directory, "link"), { ...limit, noFollow: true }))).toBe("ELOOP");
  });

  test("what says that it has no bytes is read all the same", async () => {
    expect((await read("/proc/self/status", { maxBytes: 1e6 })).length).toBeGreaterThan(0);
  });

  test("one byte more than the limit is an error", async () => {
    await writeFile(join(directory, "file"), Buffer.alloc(1000));
    expect((await read(join(directory, "file"), limit)).length).toBe(1000);
    await writeFile(join(directory, "file"), Buffer.alloc(1001));
    expect(await codeOf(read(join(directory, "file"), limit))).toBe("EFBIG");
  });

  test.each(["/dev/full", "/dev/zero", "/dev/null"])("%s is not read", async (path) => {
    expect(await codeOf(read(path, limit))).toBe("ENOTREG");
  });

  test("a directory, a socket, a FIFO that nobody writes to are not read", async () => {
    const fifo = join(directory, "fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    const server = createServer().listen(join(directory, "socket"));
    await mkdir(join(directory, "directory"));
    expect(await codeOf(read(join(directory, "directory"), limit))).toBe("EISDIR");
    expect(await codeOf(read(fifo, limit))).toBe("ENOTREG");
    expect(await codeOf(read(join(directory, "socket"), limit))).not.toBe("read");
    server.close();
  });

  test("a device that the user named ends at the limit", async () => {
    const named = { ...limit, named: true };
    expect(await codeOf(read("/dev/zero", named))).toBe("EFBIG");
    expect((await read("/dev/null", named)).length).toBe(0);
  });

  test("a pipe that the user named is read to its end, and not for ever", async () => {
    const fifo = join(directory, "fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    const named = { ...limit, named: true, pipeTimeout: 100 };
    expect(await codeOf(read(fifo, named))).toBe("ETIMEDOUT");
    const writer = spawn("sh", ["-c", `(echo a; sleep 0.05; echo b) > "${fifo}"`]);
    const ended = new Promise((resolve) => writer.once("close", resolve));
    const text = await read(fifo, { ...named, pipeTimeout: 20_000 });
    expect(text.toString()).toBe("a\nb\n");
    await ended;
  });
});

test("a failure has words", async () => {
  const error: unknown = await readDocument(join(directory, "none"), limit).catch(
    (caught: unknown) => caught,
  );
  expect(isMissing(error)).toBe(true);
  expect(unreadableBecause(error)).toBe("does not exist");
  expect(unreadableBecause({ code: "ESTALE" })).toBe("cannot be read: stale file handle");
});
