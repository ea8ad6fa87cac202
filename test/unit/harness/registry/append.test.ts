import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../../src/oci/digest.ts";
import { appendBody, type Received } from "../../../../src/harness/registry/storage/append.ts";
import { iterated } from "../../../../src/harness/registry/storage/body-reader.ts";
import { errorOf } from "../../../support/failure.ts";
import { startStream } from "../../../../src/runtime/stream-workers.ts";
import {
  type BodyProgress,
  createUploadBuffers,
  type UploadBuffers,
} from "../../../../src/harness/registry/storage/upload-buffers.ts";

const KiB = 1024;
const largeBytes = 4 * KiB * KiB;
const middleBytes = KiB * KiB;
const smallBytes = 64 * KiB;
const largeCount = 12;
const middleCount = 8;
const count = largeCount + middleCount;

const received = () => ({ size: 0, hash: startStream("sha256") });

async function* tenMebibytes(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < 10; sent += 1) yield new Uint8Array(KiB * KiB);
}

const sizesOf = (buffers: UploadBuffers, body: BodyProgress, times: number) =>
  Array.from({ length: times }, () => buffers.take(body)?.length);

describe("buffers of uploads", () => {
  const short = { received: 0, length: undefined };
  const long = { received: 16 * KiB * KiB, length: undefined };
  const middles = Array.from({ length: middleCount }, () => middleBytes);
  const larges = Array.from({ length: largeCount }, () => largeBytes);

  test("are of middle size for a few, then large, and small for all others", () => {
    const buffers = createUploadBuffers();
    expect(sizesOf(buffers, short, count + 1)).toEqual([...middles, ...larges, undefined]);
    expect(buffers.takeSmall().length).toBe(smallBytes);
  });

  test("are large ones for a body that has shown to be large", () => {
    expect(sizesOf(createUploadBuffers(), long, largeCount + 1)).toEqual([...larges, middleBytes]);
  });

  test("are large ones for a body of which much is to come, and of middle size for its end", () => {
    const buffers = createUploadBuffers();
    const body = { received: 0, length: 5 * KiB * KiB };
    expect(buffers.take(body)?.length).toBe(largeBytes);
    expect(buffers.take({ ...body, received: 4 * KiB * KiB })?.length).toBe(middleBytes);
  });

  test("serve again once they are given back", () => {
    const buffers = createUploadBuffers();
    const taken = Array.from({ length: count }, () => buffers.take(short));
    const [middle] = taken;
    if (middle === undefined) throw new Error("nothing was taken");
    const small = buffers.takeSmall();
    buffers.giveBack(small);
    buffers.giveBack(middle);
    expect(buffers.take(short)).toBe(middle);
    expect(buffers.takeSmall()).toBe(small);
  });
});

describe("a body", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "ocibundle-append-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("is stored and hashed right whatever buffers are left for it", async () => {
    const buffers = createUploadBuffers();
    const all = Array.from({ length: 2 * count }, (_, index) => ({
      path: join(directory, `upload-${index}`),
      bytes: randomBytes(300 * KiB + index),
    }));
    // All have begun before any goes on, so that the later ones find no large buffer.
    const begun = Promise.withResolvers<void>();
    let waiting = 0;
    async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      waiting += 1;
      if (waiting === all.length) begun.resolve();
      await begun.promise;
      for (let at = 0; at < bytes.length; at += 100 * KiB) yield bytes.slice(at, at + 100 * KiB);
    }
    await Promise.all(
      all.map(async ({ path, bytes }) => {
        writeFileSync(path, "");
        const state = received();
        await appendBody(path, iterated(chunksOf(bytes)), state, { buffers });
        expect(state.size).toBe(bytes.length);
        expect(`sha256:${await state.hash.digest()}`).toBe(digestOf(bytes));
        expect(readFileSync(path).equals(bytes)).toBe(true);
      }),
    );
  });

  test("waits for a buffer of its own rather than go on with a small one", async () => {
    const path = join(directory, "own");
    writeFileSync(path, "");
    const all = createUploadBuffers();
    const body = { received: 0, length: undefined };
    for (let left = count - 1; left > 0; left -= 1) all.take(body);
    let small = 0;
    const buffers: UploadBuffers = {
      ...all,
      takeSmall() {
        small += 1;
        return all.takeSmall();
      },
    };
    await appendBody(path, iterated(tenMebibytes()), received(), { buffers });
    expect(small).toBe(0);
    expect(statSync(path).size).toBe(10 * KiB * KiB);
    all.take(body);
    await appendBody(path, iterated(tenMebibytes()), received(), { buffers });
    expect(small).toBeGreaterThan(0);
  });

  test("makes its file where that is new, with its directory", async () => {
    const path = join(directory, "made/new/file");
    const bytes = randomBytes(1000 * KiB + 1);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.from(bytes);
    }
    const state = { ...received(), isNew: true };
    await appendBody(path, iterated(chunks()), state, { length: bytes.length });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(state).toMatchObject({ isNew: false, size: bytes.length });
  });

  describe.each([
    ["one thread", 3 * KiB * KiB + 7],
    ["two threads", 17 * KiB * KiB + 7],
  ])("of a said length, for %s", (name, length) => {
    const bytes = randomBytes(length);
    async function* chunks(from: number, to: number): AsyncGenerator<Uint8Array> {
      for (let at = from; at < to; at += 500 * KiB) {
        yield Uint8Array.from(bytes.subarray(at, Math.min(to, at + 500 * KiB)));
      }
    }

    test("is hashed to its end where it is the last one", async () => {
      const path = join(directory, `last ${name}`);
      const state = { ...received(), isNew: true };
      await appendBody(path, iterated(chunks(0, length)), state, { length, isLast: true });
      expect(state.hash.hasEnded).toBe(true);
      expect(`sha256:${await state.hash.digest()}`).toBe(digestOf(bytes));
      expect(readFileSync(path).equals(bytes)).toBe(true);
    });

    test("goes on after it broke off", async () => {
      const path = join(directory, `broken ${name}`);
      const state = { ...received(), isNew: true };
      const broken = 2 * KiB * KiB + 3;
      async function* breaking(): AsyncGenerator<Uint8Array> {
        yield* chunks(0, broken);
        throw new Error("the connection ended");
      }
      const options = { length, isLast: true };
      const failure = await errorOf(appendBody(path, iterated(breaking()), state, options));
      expect(failure.message).toBe("the connection ended");
      expect(state).toMatchObject({ size: broken, isNew: false });
      expect(statSync(path).size).toBe(broken);
      const rest = { length: length - broken, isLast: true };
      await appendBody(path, iterated(chunks(broken, length)), state, rest);
      expect(`sha256:${await state.hash.digest()}`).toBe(digestOf(bytes));
      expect(readFileSync(path).equals(bytes)).toBe(true);
    });
  });

  // Both fill their last buffer.
  test.each([4 * KiB * KiB, 20 * KiB * KiB])(
    "that is longer than the %d bytes that were said is stored, and has no hash",
    async (length) => {
      const path = join(directory, `longer ${length}`);
      const bytes = randomBytes(length + 100 * KiB);
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield Uint8Array.from(bytes.subarray(0, length));
        yield Uint8Array.from(bytes.subarray(length));
      }
      const state: Received = { ...received(), isNew: true };
      await appendBody(path, iterated(chunks()), state, { length, isLast: true });
      expect(state).toMatchObject({ size: bytes.length, hash: undefined });
      expect(readFileSync(path).equals(bytes)).toBe(true);
    },
  );

  test("leaves a part of something larger to whom it belongs", async () => {
    const path = join(directory, "part");
    writeFileSync(path, "");
    const whole = Uint8Array.from(randomBytes(100 * KiB));
    const before = digestOf(whole);
    async function* parts(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 50 * KiB);
      yield whole.subarray(50 * KiB);
    }
    await appendBody(path, iterated(parts()), received());
    expect(digestOf(whole)).toBe(before);
    expect(readFileSync(path).equals(whole)).toBe(true);
  });

  test.skipIf(process.platform !== "linux")(
    "that can't be written gives its buffers back",
    async () => {
      const buffers = createUploadBuffers();
      for (let time = 0; time < count; time += 1) {
        const failing = appendBody("/dev/full", iterated(tenMebibytes()), received(), { buffers });
        expect(failing).rejects.toThrow("ENOSPC");
        await failing.catch(() => undefined);
      }
      const taken = Array.from({ length: count }, () =>
        buffers.take({ received: 0, length: undefined }),
      );
      expect(new Set(taken.map((one) => one?.length))).toEqual(new Set([middleBytes, largeBytes]));
    },
  );
});
