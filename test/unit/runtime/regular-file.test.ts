import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chooseCodec } from "../../../src/runtime/choose-codec.ts";
import { compressFile } from "../../../src/runtime/compress-file.ts";
import { runCopyJob } from "../../../src/runtime/copy-job.ts";
import { followFile } from "../../../src/runtime/follow-file.ts";
import { hashFileSync } from "../../../src/runtime/hash-file.ts";
import { cloneFile } from "../../../src/runtime/own-file.ts";
import { PartPlaces } from "../../../src/runtime/part-places.ts";
import { runPartJob } from "../../../src/runtime/part-job.ts";
import { probeFile } from "../../../src/runtime/probe-file.ts";
import { openRegular, openRegularSync } from "../../../src/runtime/regular-file.ts";
import { readSmallFile } from "../../../src/runtime/small-file.ts";
import { createWorkerPool, type WorkerPool } from "../../../src/runtime/worker-pool.ts";
import { findSeeds } from "../../../src/model/pull/seeds.ts";
import { fileChunks } from "../../../src/store/file-chunks.ts";
import { filePieces } from "../../../src/store/file-pieces.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

// A test that fails here hangs: nobody ever writes to the FIFO.
let directory: string;
let fifo: string;
let pool: WorkerPool;
const mebibyte = 1024 * 1024;
const { signal } = new AbortController();

beforeEach(async () => {
  directory = await temporaryDirectory();
  fifo = join(directory, "fifo");
  execFileSync("mkfifo", [fifo]);
  pool = createWorkerPool(1);
});

afterEach(() => pool.close());

const codeOf = async (work: () => unknown): Promise<unknown> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown; cause?: { code?: unknown } }).code;
  }
};

const range = () => ({ path: fifo, start: 0, end: 8 * mebibyte });
const whole = () => ({
  path: fifo,
  places: PartPlaces.of([{ start: 0, end: 8 * mebibyte, position: 0 }]).numbers,
});
const output = () => join(directory, "output");

describe("a FIFO in the place of a regular file is not waited for", () => {
  test.each<[string, () => unknown]>([
    ["when it is opened", () => openRegular(fifo)],
    ["when it is opened at once", () => openRegularSync(fifo)],
    ["by a hash", () => hashFileSync(range())],
    ["by a worker that gathers a part", () => pool.part({ from: whole() }, { signal })],
    ["by who gathers a part", () => runPartJob({ from: whole() })],
    ["by a sample", () => probeFile(fifo, 8 * mebibyte)],
    ["by the choice of a form", () => chooseCodec(range(), 0.1)],
    ["by who reads it whole", () => readSmallFile(range())],
    ["by a clone", () => cloneFile(fifo, output())],
    ...(["zstd", "bp2.zstd"] as const).map((codec): [string, () => unknown] => [
      `by ${codec}`,
      () => compressFile({ input: range(), codec, level: 1, output: output() }),
    ]),
    [
      "by a copy",
      () => {
        writeFileSync(join(directory, "target"), "", { mode: 0o600 });
        const ranges = [{ source: 0, target: 0, length: 10 }];
        return runCopyJob({ from: fifo, to: join(directory, "target"), ranges });
      },
    ],
    [
      "by who follows a file that grows",
      () =>
        followFile({
          path: fifo,
          size: 10,
          algorithm: "sha256",
          front: new Float64Array(new SharedArrayBuffer(8)),
        } as unknown as Parameters<typeof followFile>[0]),
    ],
    ["by chunks", () => fileChunks(fifo, 0, 10, signal).next()],
  ])("%s", async (_, work) => {
    expect(await codeOf(work)).toBe("ENOTREG");
  });

  test("by pieces that are sent", async () => {
    const error = await filePieces(fifo, [{ start: 0, end: 10 }], signal)
      .read()
      .catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: "file", cause: { code: "ENOTREG" } });
  });

  test("by a look for seeds", async () => {
    const records = { holders: () => Promise.resolve([]), add: () => Promise.resolve() };
    const seeds = await findSeeds([], { records, files: [fifo], workers: pool, signal });
    expect(seeds.of("sha256:0")).toEqual([]);
  });
});

test("a directory is said to be one", async () => {
  expect(await codeOf(() => openRegular(directory))).toBe("EISDIR");
});
