import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStream } from "../../../src/runtime/stream-workers.ts";
import { errorOf } from "../../support/failure.ts";

const KiB = 1024;
const MiB = KiB * KiB;
const isLinux = process.platform === "linux";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-streams-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function shared(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

const sha256 = (...all: Uint8Array[]): string =>
  createHash("sha256").update(Buffer.concat(all)).digest("hex");

/** Whether this process has a file open. */
function isOpen(path: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
}

test("a stream makes its file with its directory, writes and hashes, and answers the hash with the last piece", async () => {
  const path = join(directory, "made/new/file");
  // Past the page cache and, the end of it, through it.
  const [first, second] = [randomBytes(MiB), randomBytes(300 * KiB + 1)];
  const stream = startStream("sha256");
  await stream.add(shared(first), { place: { path, isNew: true, position: 0 } });
  if (isLinux) expect(isOpen(path)).toBe(true);
  await stream.add(shared(second), {
    place: { path, isNew: false, position: first.length },
    end: "digest",
  });
  expect(stream.hasEnded).toBe(true);
  if (isLinux) expect(isOpen(path)).toBe(false);
  expect(await stream.digest()).toBe(sha256(first, second));
  expect(readFileSync(path).equals(Buffer.concat([first, second]))).toBe(true);
});

test("a stream whose file was closed goes on with it", async () => {
  const path = join(directory, "continued");
  const [first, second] = [randomBytes(10), randomBytes(20)];
  const stream = startStream("sha512");
  await stream.add(shared(first), { place: { path, isNew: true, position: 0 }, end: "close" });
  if (isLinux) expect(isOpen(path)).toBe(false);
  await stream.add(shared(second), { place: { path, isNew: false, position: 10 } });
  await stream.close();
  if (isLinux) expect(isOpen(path)).toBe(false);
  const whole = Buffer.concat([first, second]);
  expect(await stream.digest()).toBe(createHash("sha512").update(whole).digest("hex"));
  expect(readFileSync(path).equals(whole)).toBe(true);
});

test("streams share memory that is used again, in several threads", async () => {
  const memory = new Uint8Array(new SharedArrayBuffer(2 * MiB));
  const streams = Array.from({ length: 6 }, () => ({
    stream: startStream("sha256"),
    sent: [] as Buffer[],
  }));
  for (let round = 0; round < 3; round += 1) {
    for (const { stream, sent } of streams) {
      const bytes = randomBytes(MiB + round);
      memory.set(bytes, round);
      sent.push(bytes);
      await stream.add(memory.subarray(round, round + bytes.length));
    }
  }
  for (const { stream, sent } of streams) expect(await stream.digest()).toBe(sha256(...sent));
});

test("the hash of nothing is that of no bytes", async () => {
  expect(await startStream("sha256").digest()).toBe(sha256());
});

test("what can't be written says why, leaves no file open, and loses the hash", async () => {
  const path = join(directory, "taken");
  writeFileSync(path, "before");
  const stream = startStream("sha256");
  const failure = await errorOf(
    stream.add(shared(randomBytes(10)), { place: { path, isNew: true, position: 0 } }),
  );
  expect(failure).toMatchObject({ code: "EEXIST" });
  expect(readFileSync(path, "utf8")).toBe("before");
  if (isLinux) expect(isOpen(path)).toBe(false);
  expect((await errorOf(stream.digest())).message).toContain("lost the stream");
});

test("a stream that is dropped closes its file", async () => {
  const path = join(directory, "dropped");
  const stream = startStream("sha256");
  await stream.add(shared(randomBytes(10)), { place: { path, isNew: true, position: 0 } });
  await stream.close();
  stream.drop();
  expect(stream.hasEnded).toBe(true);
  if (isLinux) expect(isOpen(path)).toBe(false);
});
