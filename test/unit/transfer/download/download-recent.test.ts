import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { createRegistry } from "../../../../src/registry/registry.ts";
import { blockBytes } from "../../../../src/runtime/recent-bytes.ts";
import { createWorkerPool, type WorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { createDownloader } from "../../../../src/transfer/download/download.ts";
import { type RecentFile, recentBlocks } from "../../../../src/transfer/download/recent-blocks.ts";
import { failureOf } from "../../../support/failure.ts";
import type { Behaviour } from "../../../support/registry/blob-answer.ts";
import { type BlobServer, serveBlob } from "../../../support/registry/blob-server.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(40 * MiB + 12345);
const digest = digestOf(blob);

let workers: WorkerPool;
let directory: string;
let server: BlobServer | undefined;

beforeAll(() => {
  workers = createWorkerPool(1);
});
afterAll(() => workers.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-recent-"));
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(directory, { recursive: true });
});

const partial = (): string => join(directory, "blob.partial");

async function download(
  recent: RecentFile,
  behave: () => Behaviour = () => ({}),
  onFront: (front: number, stop: AbortController) => void = () => undefined,
): Promise<void> {
  await server?.stop();
  server = await serveBlob(blob, behave);
  const repository = createRegistry(server.host).repository("acme/llama");
  const descriptor = { mediaType: "a/b", digest, size: blob.length };
  const stop = new AbortController();
  await createDownloader({ connections: 4, workers, emit() {} }).download(
    {
      descriptor,
      open: (range, signal) => repository.getBlob(descriptor, range, signal),
      host: server.host,
      label: "blob",
      item: "blob",
      place: { partial: partial(), journal: join(directory, "blob.journal") },
    },
    { signal: stop.signal, recent, onFront: (front) => onFront(front, stop) },
  );
}

const isWhole = (): boolean => readFileSync(partial()).equals(blob);
const limits = (blocks: number) => ({ memory: blocks * blockBytes, slowest: Infinity });

describe("a blob whose recent blocks are kept", () => {
  test.each([1, 2, 64])("is whole and right with room for %d of them", async (blocks) => {
    const recent = recentBlocks(limits(blocks)).file();
    await download(recent);
    expect(isWhole()).toBe(true);
    expect(server?.bytesAsked()).toBe(blob.length);
  });

  test("has in its file what is read from memory", async () => {
    const recent = recentBlocks(limits(64)).file();
    let compared = 0;
    await download(recent, undefined, (front) => {
      const held = front < blockBytes ? undefined : recent.read(front - blockBytes);
      if (held === undefined) return;
      const { bytes } = held;
      expect(
        blob.subarray(front - blockBytes, front - blockBytes + bytes.length).equals(bytes),
      ).toBe(true);
      compared += bytes.length;
      held.release();
    });
    expect(compared).toBeGreaterThan(0);
    expect(isWhole()).toBe(true);
  });

  test("goes on from where a former run was stopped", async () => {
    const all = recentBlocks(limits(8));
    const stopped = new OcibundleError("interrupted", "stopped");
    const failed = await failureOf(
      download(
        all.file(),
        () => ({ pause: 1 }),
        (front, stop) => front > 20 * MiB && stop.abort(stopped),
      ),
    );
    expect(failed).toBe(stopped);
    await download(all.file());
    expect(server?.bytesAsked()).toBeLessThan(22 * MiB);
    expect(isWhole()).toBe(true);
  });

  test("ends at once when nobody waits for it any more, though who reads it stands still", async () => {
    const recent = recentBlocks({ memory: 8 * blockBytes, slowest: 1 }).file();
    recent.reached(0);
    const stopped = new OcibundleError("interrupted", "stopped");
    const failed = await failureOf(
      download(recent, undefined, (front, stop) => {
        if (front < 8 * blockBytes) return;
        setTimeout(() => stop.abort(stopped), 50);
      }),
    );
    expect(failed).toBe(stopped);
    // It came no further than there was memory for what nobody had read.
    expect(server?.bytesAsked()).toBeLessThan(blob.length);
  });

  test("is removed where its bytes are wrong", async () => {
    const wrong = new Uint8Array(blob);
    wrong[30 * MiB] = (wrong[30 * MiB] ?? 0) ^ 1;
    const failed = await failureOf(
      download(recentBlocks(limits(8)).file(), () => ({ blob: wrong })),
    );
    expect(failed).toMatchObject({ code: "integrity" });
    expect(existsSync(partial())).toBe(false);
  });
});
