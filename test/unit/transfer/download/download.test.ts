import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { OcibundleError } from "../../../../src/errors.ts";
import type { ByteRange } from "../../../../src/oci/content.ts";
import { type Digest, digestOf } from "../../../../src/oci/digest.ts";
import { failureError } from "../../../../src/http/message/failure.ts";
import { type RetryPolicy, transferRetries } from "../../../../src/retry/backoff.ts";
import type { Clock } from "../../../../src/retry/clock.ts";
import { createRegistry } from "../../../../src/registry/registry.ts";
import { createWorkerPool, type WorkerPool } from "../../../../src/runtime/worker-pool.ts";
import type { BlobToFetch } from "../../../../src/transfer/download/blob-to-fetch.ts";
import {
  journalWriter,
  readJournal,
  removeGrown,
} from "../../../../src/transfer/download/download-journal.ts";
import { createDownloader } from "../../../../src/transfer/download/download.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";
import type { Pace } from "../../../../src/transfer/download/slow-ranges.ts";
import { type Asked, type BlobServer, serveBlob } from "../../../support/registry/blob-server.ts";
import type { Behaviour } from "../../../support/registry/blob-answer.ts";
import { recordedClock } from "../../../support/registry/scripted-server.ts";
import { failureOf } from "../../../support/failure.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(24 * MiB + 12345);
/** For servers that stall: what takes seconds elsewhere is judged after a moment. */
const hurried = { silent: 150, dead: 300, young: 100, factor: 4, short: 50 };
const instantly = { now: () => Date.now(), random: () => 0, sleep: () => Promise.resolve() };

let workers: WorkerPool;
let directory: string;
let server: BlobServer | undefined;
let events: TransferEvent[];
/** How often a download has said that its content is right. */
let verified: number;

beforeAll(() => {
  workers = createWorkerPool(2);
});
afterAll(() => workers.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-download-"));
  events = [];
  verified = 0;
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(directory, { recursive: true });
});

const place = () => ({
  partial: join(directory, "blob.partial"),
  journal: join(directory, "blob.journal"),
});

interface Pull {
  path: string;
  bytes: number;
}

/** How a download differs from the usual. */
interface Manner {
  stopAt?: number;
  pace?: Pace;
  clock?: Clock;
  retries?: RetryPolicy;
  /** Throws in place of a request. */
  before?: () => void;
}

async function pull(
  bytes: Uint8Array,
  behave: (asked: Asked) => Behaviour,
  more: Partial<BlobToFetch> & Manner = {},
): Promise<Pull> {
  await server?.stop();
  server = await serveBlob(bytes, behave);
  const { clock = instantly } = more;
  const registry = createRegistry(server.host, { clock });
  const repository = registry.repository("acme/llama");
  const descriptor = more.descriptor ?? {
    mediaType: "application/vnd.cog.weights.layer.v1",
    digest: digestOf(bytes),
    size: bytes.length,
  };
  const downloader = createDownloader({
    connections: 4,
    workers,
    emit: (event) => events.push(event),
    clock,
    pace: more.pace,
    retries: more.retries ?? { tries: 4, firstWait: 1, longestWait: 1 },
  });
  let told = 0;
  const abort = new AbortController();
  const { stopAt = Infinity } = more;
  const path = await downloader.download(
    {
      descriptor,
      async open(range, signal) {
        more.before?.();
        return repository.getBlob(descriptor, range, signal);
      },
      host: registry.host,
      label: 'weight "llama"',
      item: "llama",
      place: place(),
      original: more.original,
      decoded: more.decoded,
    },
    {
      signal: abort.signal,
      onBytes(count) {
        told += count;
        if (told >= stopAt) abort.abort(new OcibundleError("interrupted", "stopped"));
      },
      onVerified: () => void (verified += 1),
    },
  );
  return { path, bytes: told };
}

const inodeOf = (path: string): bigint => statSync(path, { bigint: true }).ino;

/** Writes a journal in which one thing is not as it was. */
function breakJournal({
  digest = digestOf(blob),
  size = blob.length,
  inode = inodeOf(place().partial),
  written = [{ start: 0, end: 1000 }],
}: {
  digest?: Digest;
  size?: number;
  inode?: bigint;
  written?: ByteRange[];
}): void {
  const writer = journalWriter(place(), { mediaType: "a/b", digest, size }, inode);
  writer.write(written);
  writer.close();
}

const replaceInJournal = (from: string, to: string): void =>
  writeFileSync(place().journal, readFileSync(place().journal, "utf8").replace(from, to));

const descriptorOf = (bytes: Uint8Array, codec: string) => ({
  mediaType: `application/vnd.cog.weights.layer.v1+${codec}`,
  digest: digestOf(bytes),
  size: bytes.length,
});

const decoded = () => join(directory, "decoded");

const whole = ({ path, bytes }: Pull, expected: Uint8Array = blob): void => {
  expect(readFileSync(path).equals(expected)).toBe(true);
  expect(bytes).toBe(expected.length);
};

describe("a server as it should be", () => {
  test("serves a large blob in ranges that together are the blob", async () => {
    whole(await pull(blob, () => ({})));
    expect(server?.asked.length).toBeGreaterThan(2);
    expect(server?.asked.every(({ ranged }) => ranged)).toBe(true);
    expect(server?.bytesAsked()).toBe(blob.length);
    expect(verified).toBe(1);
  });

  test("is asked once, without a range, for a small blob", async () => {
    const small = randomBytes(70_000);
    whole(await pull(small, () => ({})), small);
    expect(server?.asked).toEqual([
      { index: 0, range: { start: 0, end: small.length }, ranged: false },
    ]);
  });

  test("is asked for nothing when the blob is empty", async () => {
    const empty = new Uint8Array(0);
    whole(await pull(empty, () => ({})), empty);
  });
});

describe("a server without ranges", () => {
  test.each<[string, (asked: Asked) => Behaviour]>([
    ["answers 200", () => ({ ignoreRange: true })],
    ["answers 400", ({ ranged }) => (ranged ? { status: 400 } : {})],
    ["answers 416", ({ ranged }) => (ranged ? { status: 416 } : {})],
    [
      "lies in Content-Range",
      ({ ranged }) => (ranged ? { contentRange: `bytes 5-99/${blob.length}` } : {}),
    ],
    ["has no Content-Range", ({ ranged }) => (ranged ? { contentRange: "" } : {})],
  ])("that %s is served by one stream", async (_, behave) => {
    whole(await pull(blob, behave));
    expect(server?.asked.length).toBeLessThanOrEqual(2);
    expect(events.some((event) => event.type === "detail")).toBe(true);
  });

  test("that serves the first and then no more is served by one stream", async () => {
    whole(await pull(blob, ({ index }) => (index === 0 ? {} : { ignoreRange: true })));
  });

  test.each([400, 405, 416, 501])(
    "that refuses several at once (%d) is served by one stream",
    async (status) => {
      const refused = ({ index, ranged }: Asked): Behaviour =>
        index > 0 && ranged ? { status, delay: 50 } : {};
      whole(await pull(blob, refused));
      const ranges = server?.asked.filter(({ ranged }) => ranged) ?? [];
      expect(ranges.length).toBeGreaterThanOrEqual(2);
      expect(server?.asked.length).toBe(ranges.length + 1);
    },
  );

  test("that answers 500 to every range but the first is served by one stream in the end", async () => {
    whole(await pull(blob, ({ index, ranged }) => (index > 0 && ranged ? { status: 500 } : {})));
    expect(server?.asked.at(-1)?.ranged).toBeFalse();
  });

  test("is asked for the whole blob again when its stream breaks", async () => {
    whole(
      await pull(blob, ({ index }) => ({
        ignoreRange: true,
        ...(index === 0 ? { cutAfter: 9 * MiB } : {}),
      })),
    );
    expect(server?.asked.length).toBe(2);
  });
});

describe("a server that reads the whole blob before each range", () => {
  test("is asked for a piece, and then for the rest", async () => {
    whole(await pull(blob, () => ({ delay: 400 })));
    expect(server?.asked.map(({ range }) => range)).toEqual([
      { start: 0, end: 8 * MiB },
      { start: 8 * MiB, end: blob.length },
    ]);
  });

  test("is asked for ranges side by side where its bytes come slowly, too", async () => {
    whole(await pull(blob, () => ({ delay: 260, pause: 12 })));
    expect(server?.asked.length).toBeGreaterThan(2);
  });
});

describe("a server that breaks", () => {
  test("closes after every megabyte or two", async () => {
    whole(await pull(blob, ({ index }) => ({ cutAfter: MiB + index * 65_536 })));
    // Nothing that was written is asked for again: what arrived is at most one gathering less.
    expect(server?.asked.length).toBeLessThan(40);
  });

  test("closes before every first byte, and is given up", async () => {
    const error = await failureOf(pull(blob, () => ({ cutAfter: 0 })));
    expect(error.code).toBe("network");
  });

  test("stalls one range, which another connection takes where it stopped", async () => {
    const stalled: number[] = [];
    whole(
      await pull(
        blob,
        ({ index, range }) => {
          if (index !== 1) return {};
          stalled.push(range.start);
          return { stallAfter: 100_000 };
        },
        { pace: hurried },
      ),
    );
    const again = stalled.map((start) => start + 100_000);
    expect(server?.asked.map(({ range }) => range.start)).toContain(again[0] ?? Number.NaN);
    expect(server?.bytesAsked()).toBe(blob.length + 8 * MiB - 100_000);
  });

  test("stands still as a whole, and is asked for one range more", async () => {
    const stuck = Promise.withResolvers<void>();
    const held: number[] = [];
    const pace = { ...hurried, silent: 400, young: 600, dead: 60_000 };
    const behave = ({ index, range }: Asked): Behaviour => {
      held.push(range.start);
      // Three pieces of eight megabytes, what is left, and the one that asks whether it is still stuck.
      if (held.length === 5) setTimeout(stuck.resolve, 4 * pace.silent);
      return { hold: { after: index < 4 ? 64 * 1024 : 0, until: stuck.promise } };
    };
    whole(await pull(blob, behave, { pace }));
    expect(held.length).toBe(5);
  });

  test("becomes slower for all, and is asked for nothing twice", async () => {
    const large = randomBytes(64 * MiB);
    const pace = { silent: 4000, dead: 60_000, young: 300, factor: 4, short: 100 };
    whole(await pull(large, ({ index }) => (index < 4 ? {} : { pause: 10 }), { pace }), large);
    expect(server?.bytesAsked()).toBe(large.length);
  });

  test("crawls through one range, which another connection takes", async () => {
    const begin = performance.now();
    whole(await pull(blob, ({ index }) => (index === 1 ? { pause: 60 } : {}), { pace: hurried }));
    // Alone it would have taken more than 128 pauses of 60 ms.
    expect(performance.now() - begin).toBeLessThan(5000);
  });

  test("stalls every first answer of a range", async () => {
    const seen = new Set<number>();
    whole(
      await pull(
        blob,
        ({ range }) => {
          if (seen.has(range.end)) return {};
          seen.add(range.end);
          return { stallAfter: 300_000 };
        },
        { pace: hurried },
      ),
    );
  });

  test("stalls for ever, and is given up", async () => {
    const error = await failureOf(pull(blob, () => ({ stallAfter: 10 }), { pace: hurried }));
    expect(error.code).toBe("network");
    expect(error.message).toContain("no data received for");
  });

  test("answers 503 to a range for a while", async () => {
    whole(await pull(blob, ({ index }) => (index > 0 && index < 4 ? { status: 503 } : {})));
  });
});

const breaksAtFirst = ({ index }: Asked): Behaviour => (index < 4 ? { cutAfter: MiB } : {});

/** A server that breaks off each of its first answers and can't be reached for a while from then on. */
async function goesAway(milliseconds: number) {
  const clock = recordedClock();
  let back = Infinity;
  let refused = 0;
  const before = (): void => {
    if ((server?.asked.length ?? 0) < 4 || clock.now() >= back) return;
    if (back === Infinity) back = clock.now() + milliseconds;
    if (clock.now() >= back) return;
    refused += 1;
    throw failureError("registry.test", "refused");
  };
  const pulled = pull(blob, breaksAtFirst, { clock, retries: transferRetries, before });
  return { pulled: await pulled.catch((error: unknown) => error), refused: () => refused };
}

describe("a server that goes away half-way", () => {
  test.each([10, 30, 55])("for %d s is waited for, and gone on with", async (seconds) => {
    const { pulled, refused } = await goesAway(seconds * 1000);
    whole(pulled as Pull);
    expect(refused()).toBeGreaterThan(2);
    // What came before is not asked for again.
    expect(server?.bytesAsked()).toBeLessThan(2 * blob.length);
  });

  test("for more than a minute is given up", async () => {
    const { pulled, refused } = await goesAway(75_000);
    expect(pulled).toMatchObject({ code: "network", message: expect.stringContaining("refused") });
    expect(refused()).toBeLessThan(100);
  });

  test("behind a proxy that answers 503 is waited for, too", async () => {
    const clock = recordedClock();
    let back = Infinity;
    const behave = ({ index }: Asked): Behaviour => {
      if (index < 4) return { cutAfter: MiB };
      if (back === Infinity) back = clock.now() + 50_000;
      return clock.now() < back ? { status: 503 } : {};
    };
    whole(await pull(blob, behave, { clock, retries: transferRetries }));
  });

  test("before its first byte is given up soon", async () => {
    const clock = recordedClock();
    let tries = 0;
    const before = (): void => {
      tries += 1;
      throw failureError("registry.test", "refused");
    };
    const error = await failureOf(
      pull(blob, () => ({}), { clock, retries: transferRetries, before }),
    );
    expect(error.code).toBe("network");
    expect(tries).toBe(2);
  });
});

describe("a server with other bytes", () => {
  const other = Buffer.from(blob);
  other[20 * MiB] = 255 - (other[20 * MiB] ?? 0);

  test("changes the blob between ranges: nothing is left", async () => {
    const error = await failureOf(
      pull(blob, ({ range }) => (range.end > 20 * MiB ? { blob: other } : {})),
    );
    expect(error.code).toBe("integrity");
    expect(error.message).toContain('weight "llama"');
    expect(existsSync(place().partial)).toBe(false);
    expect(existsSync(place().journal)).toBe(false);
    expect(verified).toBe(0);
  });

  test("sends too much of a range", async () => {
    whole(await pull(blob, ({ ranged }) => (ranged ? { extra: 100 } : {})));
  });

  test("sends too little of a range", async () => {
    whole(await pull(blob, ({ index }) => (index < 3 ? { short: 1000 } : {})));
  });

  test("has a blob of another size", async () => {
    const descriptor = { mediaType: "a/b", digest: digestOf(blob), size: blob.length + 1 };
    const error = await failureOf(pull(blob, () => ({}), { descriptor }));
    expect(error.code).toBe("integrity");
  });

  test("has no such blob", async () => {
    const error = await failureOf(pull(blob, () => ({ status: 404 })));
    expect(error.code).toBe("not_found");
  });
});

/** A download that is stopped after a share of the blob: how many bytes its journal knows. */
const interrupted = async (share: number): Promise<number> => {
  const work = pull(blob, () => ({}), { stopAt: share * blob.length });
  expect((await failureOf(work)).code).toBe("interrupted");
  const written = await readJournal(place(), descriptorOf(blob, "none"));
  return (written ?? []).reduce((sum, { start, end }) => sum + end - start, 0);
};

describe("going on after an end", () => {
  test("asks only for what is missing", async () => {
    const had = await interrupted(0.9);
    expect(had).toBeGreaterThan(0.9 * blob.length);
    whole(await pull(blob, () => ({})));
    expect(server?.bytesAsked()).toBe(blob.length - had);
  });

  test("asks for nothing when all was there and not yet checked", async () => {
    writeFileSync(place().partial, blob);
    breakJournal({ written: [{ start: 0, end: blob.length }] });
    whole(await pull(blob, () => ({})));
    expect(server?.asked).toEqual([]);
  });

  test("throws away what a journal was wrong about, and says so", async () => {
    await interrupted(0.6);
    const bytes = readFileSync(place().partial);
    bytes.fill(0, 0, 1000);
    writeFileSync(place().partial, bytes, { flag: "r+" });
    whole(await pull(blob, () => ({})));
    expect(events).toContainEqual({ type: "warning", message: expect.stringContaining("damaged") });
    expect(verified).toBe(1);
  });

  test.each<[string, () => void]>([
    ["another blob", () => breakJournal({ digest: digestOf("x") })],
    ["another size", () => breakJournal({ size: 7 })],
    ["another version", () => replaceInJournal('"version":2', '"version":3')],
    ["another file", () => breakJournal({ inode: 1n })],
    ["ranges beyond the end", () => breakJournal({ written: [{ start: 0, end: 2 ** 40 }] })],
    ["ranges that end first", () => breakJournal({ written: [{ start: 9, end: 4 }] })],
    ["no JSON", () => replaceInJournal("{", "[")],
    ["nothing", () => rmSync(place().journal)],
    ["a file that is cut", () => writeFileSync(place().partial, "short")],
    ["no file", () => rmSync(place().partial)],
  ])("believes no journal that is about %s", async (_, damage) => {
    await interrupted(0.3);
    damage();
    whole(await pull(blob, () => ({})));
    expect(server?.bytesAsked()).toBe(blob.length);
    expect(events.filter(({ type }) => type === "warning")).toEqual([]);
  });
});

describe("compressed blobs", () => {
  const text = Buffer.from(randomBytes(3 * MiB).toString("hex"));
  const original = { digest: digestOf(text), size: text.length };
  const fetchDecoded = (bytes: Uint8Array, codec: string, changed = original) =>
    pull(bytes, () => ({}), {
      descriptor: descriptorOf(bytes, codec),
      original: changed,
      decoded: decoded(),
    });

  test.each([
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
    ["gzip", gzipSync(text, { level: 0 })],
  ])("with %s become their original", async (codec, bytes) => {
    const { path } = await fetchDecoded(bytes, codec);
    expect(path).toBe(decoded());
    expect(readFileSync(path).equals(text)).toBe(true);
  });

  test("are decompressed again, and not fetched again, by a run that follows one killed before its end", async () => {
    const bytes = zstdCompressSync(text);
    await fetchDecoded(bytes, "zstd");
    rmSync(decoded());
    const { path } = await fetchDecoded(bytes, "zstd");
    expect(readFileSync(path).equals(text)).toBe(true);
    expect(server?.bytesAsked()).toBe(0);
    await removeGrown(place());
    expect(existsSync(place().partial)).toBe(false);
    expect(existsSync(place().journal)).toBe(false);
  });

  test("of nothing become an empty file", async () => {
    const empty = { digest: digestOf(""), size: 0 };
    const { path } = await fetchDecoded(gzipSync(""), "gzip", empty);
    expect(readFileSync(path).length).toBe(0);
  });

  test("that hold more than they may are cut off", async () => {
    const bomb = gzipSync(Buffer.alloc(64 * MiB));
    const error = await failureOf(fetchDecoded(bomb, "gzip", { ...original, size: 1000 }));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain("more than 1000 bytes");
    expect(existsSync(decoded())).toBe(false);
    expect(existsSync(place().partial)).toBe(false);
  });

  test.each([
    ["are not what they say", randomBytes(5 * MiB)],
    ["end too early", gzipSync(text).subarray(0, 2 * MiB)],
  ])("that %s are refused", async (_, bytes) => {
    const error = await failureOf(fetchDecoded(bytes, "gzip"));
    expect(error.code).toBe("integrity");
    expect(existsSync(decoded())).toBe(false);
  });

  test("of another original are refused", async () => {
    const bytes = gzipSync(text);
    const other = { digest: digestOf("other"), size: text.length };
    const error = await failureOf(fetchDecoded(bytes, "gzip", other));
    expect(error.message).toContain("decompresses to content that does not match digest");
    const longer = { ...original, size: text.length + 1 };
    expect((await failureOf(fetchDecoded(bytes, "gzip", longer))).message).toContain(
      "decompresses to",
    );
  });

  test("that are none, as the digests say, are taken as they are, with a warning", async () => {
    const { path } = await fetchDecoded(text, "gzip");
    expect(path).toBe(place().partial);
    expect(readFileSync(path).equals(text)).toBe(true);
    expect(events).toContainEqual({
      type: "warning",
      message:
        'weight "llama": its media type is gzip, but its digests are those of uncompressed content',
    });
  });

  test("that say plain and have another original are refused", async () => {
    const descriptor = { ...descriptorOf(text, "gzip"), mediaType: "a/plain" };
    const work = pull(text, () => ({}), {
      descriptor,
      original: { digest: digestOf("x"), size: 1 },
      decoded: decoded(),
    });
    expect((await failureOf(work)).code).toBe("integrity");
    expect(server?.asked).toEqual([]);
  });
});
