import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import type { BlobOutcome, BlobSource, BlobToMove } from "../../../../src/oci/content.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { transferRetries } from "../../../../src/retry/backoff.ts";
import { createRegistry } from "../../../../src/registry/registry.ts";
import { tryLockFile } from "../../../../src/store/locks/lock-file.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";
import { registryWriter } from "../../../../src/transfer/upload/registry-writer.ts";
import { uploadJournal } from "../../../../src/transfer/upload/upload-journal.ts";
import {
  unknownTraits,
  type RegistryTraits,
} from "../../../../src/transfer/upload/registry-traits.ts";
import { recordedClock, serve } from "../../../support/registry/scripted-server.ts";
import {
  type MeddleNth,
  serveUploads,
  type UploadRegistry,
} from "../../../support/registry/upload-registry.ts";
import { failureOf } from "../../../support/failure.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(40 * MiB + 321);
const digest = digestOf(blob);
const mediaType = "application/vnd.cog.weights.layer.v1";
const clock = {
  now: () => Date.now(),
  random: () => 0,
  sleep: (milliseconds: number) => Bun.sleep(milliseconds),
};
const instantClock = { ...clock, sleep: () => Promise.resolve() };

let directory: string;
let path: string;
let registry: UploadRegistry | undefined;
let events: TransferEvent[];
let traits: Map<string, RegistryTraits>;
/** How often it was told in the last write that bytes have gone out. */
let tellings = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-upload-"));
});
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  path = join(directory, "weights.bin");
  writeFileSync(path, blob);
  events = [];
  traits = new Map();
  rmSync(notes(), { recursive: true, force: true });
});

const notes = () => join(directory, "uploads");
afterEach(async () => {
  await registry?.stop();
  registry = undefined;
});

const toMove = (source: BlobSource, more: Partial<BlobToMove> = {}): BlobToMove => ({
  descriptor: { mediaType, digest, size: blob.length },
  source: () => Promise.resolve(source),
  group: "weights",
  label: 'weight "llama"',
  ...more,
});

const file = (): BlobSource => ({ kind: "file", path, offset: 0 });

const stream = (bytes: Uint8Array): BlobSource => ({
  kind: "stream",
  open: ({ start, end }) => {
    const part = new Blob([new Uint8Array(bytes.subarray(start, end))]);
    return Promise.resolve(part.stream() as ReadableStream<Uint8Array>);
  },
});

const begin = async (
  meddle?: MeddleNth,
  options?: { minChunkLength?: number },
): Promise<UploadRegistry> => (registry = await serveUploads(meddle, options));

/** Writes a blob; what was told of bytes must add up to its size, unless it is mounted. */
async function write(
  move: BlobToMove,
  signal: AbortSignal = new AbortController().signal,
): Promise<BlobOutcome> {
  if (registry === undefined) throw new Error("there is no registry");
  const client = createRegistry(registry.host, { clock: instantClock });
  const writer = registryWriter(client.repository("acme/llama"), {
    emit: (event) => events.push(event),
    traits,
    clock,
    retries: { tries: 5, firstWait: 10, longestWait: 100 },
    journal: uploadJournal(notes()),
  });
  let told = 0;
  tellings = 0;
  const onBytes = (bytes: number) => {
    told += bytes;
    tellings += 1;
  };
  const outcome = await writer.writeBlob(move, { signal, onBytes });
  expect(await writer.hasBlob(move.descriptor, signal)).toBe(true);
  if (outcome === "sent") expect(told).toBe(move.descriptor.size);
  return outcome;
}

const requests = (method: string) => registry?.seen.filter((one) => one.method === method) ?? [];

/** They cover the blob in order, and none but the last is smaller than `least` bytes. How large depends on the rate. */
const expectChunks = (patches: readonly { contentRange: string | null }[], least: number): void => {
  let position = 0;
  for (const { contentRange } of patches) {
    const [start = NaN, last = NaN] = (contentRange ?? "").split("-").map(Number);
    expect(start).toBe(position);
    position = last + 1;
    if (position < blob.length) expect(position - start).toBeGreaterThanOrEqual(least);
  }
  expect(position).toBe(blob.length);
};

const details = () => events.flatMap((event) => (event.type === "detail" ? [event.message] : []));

/** Lets the body in and answers something else. */
const refuse = async (request: Request, status: number, headers = {}): Promise<Response> => {
  await request.body?.cancel();
  return new Response(null, { status, headers });
};

const tooLarge = async (request: Request) => {
  await request.body?.cancel();
  return Response.json(
    { errors: [{ code: "SIZE_INVALID", message: "too large" }] },
    { status: 413 },
  );
};

const raiseLimit =
  "raise the limit on the size of request bodies of the registry, or of the proxy in front of it";

const fill = async (repository: string): Promise<void> => {
  const client = createRegistry(registry?.host ?? "", { clock: instantClock });
  const writer = registryWriter(client.repository(repository), { traits: new Map(), clock });
  await writer.writeBlob(toMove(file()), { signal: new AbortController().signal });
};

const ranged = (request: Request) => request.headers.has("content-range");

const lose =
  (method: string): MeddleNth =>
  async (request, next, nth) => {
    const response = await next(request);
    return request.method === method && nth === 1 ? new Response(null, { status: 502 }) : response;
  };

const changed = () => Promise.reject(new OcibundleError("integrity", "the file changed"));

const absent = () => Promise.reject(new OcibundleError("file", "it is not here"));

describe("a registry as it should be", () => {
  test("gets a file in chunks that grow", async () => {
    await begin();
    expect(await write(toMove(file()))).toBe("sent");
    const chunks = requests("PATCH").map(({ contentRange }) => contentRange);
    expect(chunks[0]).toBe(`0-${16 * MiB - 1}`);
    expect(chunks.at(-1)).toEndWith(`-${blob.length - 1}`);
    expect(requests("PATCH").every(({ contentLength }) => contentLength !== null)).toBe(true);
    expect(requests("PUT").length).toBe(1);
  });

  test("gets a stream, opened again for each chunk", async () => {
    await begin();
    expect(await write(toMove(stream(blob)))).toBe("sent");
    expect(requests("PATCH").length).toBeGreaterThan(1);
  });

  test("gets a part of a file that holds more", async () => {
    await begin();
    const part = blob.subarray(1000, 30 * MiB);
    const descriptor = { mediaType, digest: digestOf(part), size: part.length };
    await write(toMove({ kind: "file", path, offset: 1000 }, { descriptor }));
  });

  test.each([0, 1, 65_536, 4 * MiB])("gets %d bytes with one PUT", async (size) => {
    await begin();
    const bytes = blob.subarray(0, size);
    const descriptor = { mediaType, digest: digestOf(bytes), size };
    await write(toMove({ kind: "bytes", bytes }, { descriptor }));
    expect(requests("PATCH")).toEqual([]);
    expect(requests("PUT").length).toBe(1);
  });

  test("gets no chunk below its minimum", async () => {
    await begin(undefined, { minChunkLength: 20 * MiB });
    await write(toMove(file()));
    expectChunks(requests("PATCH"), 20 * MiB);
  });
});

describe("mounting", () => {
  test("takes the blob from the first repository that has it", async () => {
    await begin();
    await fill("acme/base");
    const sent = registry?.bytesUp() ?? 0;
    const move = toMove(file(), { mountFrom: ["acme/none", "acme/llama", "acme/base"] });
    expect(await write(move)).toBe("mounted");
    expect((registry?.bytesUp() ?? 0) - sent).toBeLessThan(10_000);
  });

  test("that nobody can do ends in an upload, in the session that was offered", async () => {
    await begin();
    expect(await write(toMove(file(), { mountFrom: ["acme/none"] }))).toBe("sent");
    expect(requests("POST").length).toBe(1);
  });

  test("is not tried with every source again for each blob of a registry that does not mount", async () => {
    await begin();
    const mountFrom = Array.from({ length: 8 }, (_, index) => `acme/none-${index}`);
    const small = async (from: number): Promise<void> => {
      const bytes = blob.subarray(from, from + 1000);
      const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
      await write(toMove({ kind: "bytes", bytes }, { descriptor, mountFrom }));
    };
    for (let at = 0; at < 10; at += 1) await small(at);
    // Eight sources for three blobs, three for the fourth; then the request that opens an upload is the only one.
    expect(requests("POST").length).toBe(3 * 8 + 3 + 6);
  });

  test("is tried with every source for a blob that is not on this machine", async () => {
    await begin();
    await fill("acme/base");
    const none = Array.from({ length: 7 }, (_, index) => `acme/none-${index}`);
    for (let at = 0; at < 4; at += 1) {
      const bytes = blob.subarray(at, at + 1000);
      const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
      await write(toMove({ kind: "bytes", bytes }, { descriptor, mountFrom: none }));
    }
    const move = { ...toMove(file()), source: absent, mountFrom: [...none, "acme/base"] };
    expect(await write(move)).toBe("mounted");
    await expect(
      write({ ...move, descriptor: { ...move.descriptor, digest: digestOf("x") } }),
    ).rejects.toThrow("it is not here");
  });

  test("that the registry fails at ends in an upload", async () => {
    await begin((request, next) =>
      new URL(request.url).searchParams.has("mount") ? refuse(request, 405) : next(request),
    );
    expect(await write(toMove(file(), { mountFrom: ["acme/none"] }))).toBe("sent");
  });
});

describe("a registry that refuses a way", () => {
  test.each([400, 405, 411, 416, 501])("chunks with %d gets one PATCH", async (status) => {
    await begin((request, next) =>
      request.method === "PATCH" && ranged(request) ? refuse(request, status) : next(request),
    );
    await write(toMove(file()));
    expect(details().join("\n")).toContain("does not accept a blob in chunks");
    expect(requests("PATCH").at(-1)?.contentLength).toBe(String(blob.length));
  });

  test("chunks with 416, and is where they begin, is sent one of them only", async () => {
    await begin((request, next) =>
      request.method === "PATCH" && ranged(request) ? refuse(request, 416) : next(request),
    );
    await write(toMove(file()));
    expect(requests("PATCH").filter(({ contentRange }) => contentRange !== null).length).toBe(1);
  });

  test("chunks is not asked again in this process", async () => {
    await begin((request, next) =>
      request.method === "PATCH" && ranged(request) ? refuse(request, 400) : next(request),
    );
    await write(toMove(file()));
    const other = blob.subarray(5);
    const descriptor = { mediaType, digest: digestOf(other), size: other.length };
    const before = requests("PATCH").length;
    await write(toMove({ kind: "file", path, offset: 5 }, { descriptor }));
    expect(requests("PATCH").length).toBe(before + 1);
  });

  test("every PATCH gets one PUT", async () => {
    await begin((request, next) =>
      request.method === "PATCH" ? refuse(request, 405) : next(request),
    );
    await write(toMove(file()));
    expect(requests("PUT").at(-1)?.contentLength).toBe(String(blob.length));
  });

  test("bodies over 9 MB gets smaller chunks, of which it is told no more", async () => {
    await begin((request, next) =>
      Number(request.headers.get("content-length")) > 9_000_000
        ? refuse(request, 413)
        : next(request),
    );
    await write(toMove(file()));
    expect([...traits.values()][0]?.largestChunk).toBe(8 * MiB);
    const accepted = requests("PATCH").filter(({ contentLength }) => Number(contentLength) < 9e6);
    expect(accepted.length).toBe(6);
  });

  test("bodies over 1 MiB, as nginx does unless told otherwise, gets chunks of that", async () => {
    await begin((request, next) =>
      Number(request.headers.get("content-length")) > MiB ? refuse(request, 413) : next(request),
    );
    await write(toMove(file()));
    expect([...traits.values()][0]?.largestChunk).toBe(MiB);
    const sizes = requests("PATCH").map(({ contentLength }) => Number(contentLength));
    expect(sizes.filter((size) => size <= MiB)).toHaveLength(Math.ceil(blob.length / MiB));
    // None is tried twice.
    const refused = sizes.filter((size) => size > MiB);
    expect(new Set(refused).size).toBe(refused.length);
  });

  test("everything is told with its last word", async () => {
    await begin((request, next) =>
      ["PATCH", "PUT"].includes(request.method) ? refuse(request, 400) : next(request),
    );
    const error = await failureOf(write(toMove(file())));
    expect(error.code).toBe("network");
    expect(error.message).toContain("400");
  });

  test.each([99, 16 * MiB - 1])("to say more than 0-%d gets one PATCH", async (last) => {
    await begin(async (request, next) => {
      const response = await next(request);
      const tells = ranged(request) || request.method === "GET";
      if (tells) response.headers.set("range", `0-${last}`);
      return response;
    });
    await write(toMove(file()));
    expect(details().join("\n")).toContain("does not accept a blob in chunks");
    expect(requests("PATCH").at(-1)?.contentRange).toBeNull();
  });

  test("with 201 for a PATCH, as ECR, is content all the same", async () => {
    await begin(async (request, next) => {
      const { status, headers, body } = await next(request);
      return new Response(body, { status: request.method === "PATCH" ? 201 : status, headers });
    });
    await write(toMove(file()));
  });

  test("access is not asked in other ways", async () => {
    await begin((request, next) =>
      request.method === "PATCH" ? refuse(request, 403) : next(request),
    );
    expect((await failureOf(write(toMove(file())))).code).toBe("denied");
    expect(requests("PATCH").length).toBe(1);
  });
});

describe("a registry with a shortest chunk", () => {
  const minChunkLength = 12 * MiB;

  test("gets none below it where a chunk broke off at an odd place", async () => {
    const { cutAfter } = await begin(undefined, { minChunkLength });
    cutAfter(17 * MiB + 12_345);
    await write(toMove(file()));
    expect(details().join("\n")).not.toContain("does not accept");
  });

  test("gets none below it from a later run that goes on at an odd place", async () => {
    const abort = new AbortController();
    const { cutAfter } = await begin(
      async (request, next) => {
        const broken = next(request);
        if (request.method === "GET") abort.abort(new OcibundleError("interrupted", "interrupted"));
        return broken;
      },
      { minChunkLength },
    );
    cutAfter(5 * MiB + 100_321);
    expect((await failureOf(write(toMove(file()), abort.signal))).code).toBe("interrupted");
    await write(toMove(file()));
    expect(requests("POST").length).toBe(1);
    const [, there] = /resuming an earlier upload at byte (\d+)/.exec(details().join("\n")) ?? [];
    expect(Number(there) % MiB).toBeGreaterThan(0);
    expect(details().join("\n")).not.toContain("does not accept");
  });

  test("that says so in the second session only gets none below it", async () => {
    await begin(
      async (request, next, nth) => {
        if (request.method === "PATCH" && nth === 0) return refuse(request, 404);
        const response = await next(request);
        if (request.method === "POST" && nth === 0) response.headers.delete("oci-chunk-min-length");
        return response;
      },
      { minChunkLength: 20 * MiB },
    );
    await write(toMove(file()));
    const [refused, ...taken] = requests("PATCH");
    expect(refused?.contentRange).toBe(`0-${16 * MiB - 1}`);
    expectChunks(taken, 20 * MiB);
  });
});

describe("a small blob", () => {
  const small = blob.subarray(0, 3 * MiB);
  const move = () =>
    toMove(
      { kind: "bytes", bytes: small },
      { descriptor: { mediaType, digest: digestOf(small), size: small.length } },
    );
  test("whose PUT is too large goes in one PATCH", async () => {
    await begin((request, next) =>
      request.method === "PUT" && request.headers.get("content-length") !== "0"
        ? tooLarge(request)
        : next(request),
    );
    await write(move());
    const sent = registry?.seen.flatMap(({ method }) => (method === "HEAD" ? [] : [method]));
    expect(sent).toEqual(["POST", "PUT", "DELETE", "POST", "PATCH", "PUT"]);
    expect(details().join("\n")).toContain("does not accept a blob in one PUT");
  });

  test("that is too large in every way fails, and is not called wrong", async () => {
    await begin((request, next) =>
      ["PATCH", "PUT"].includes(request.method) ? tooLarge(request) : next(request),
    );
    const error = await failureOf(write(move()));
    expect(error.code).toBe("network");
    expect(error.message).toContain("413");
    expect(error.hint).toBe(raiseLimit);
  });

  test.each([true, false])(
    "names --parts only where that makes it smaller: %p",
    async (canSplit) => {
      await begin((request, next) =>
        ["PATCH", "PUT"].includes(request.method) ? tooLarge(request) : next(request),
      );
      const error = await failureOf(write({ ...move(), canSplit }));
      const parts = ", or store large weights in parts with --parts";
      expect(error.hint).toBe(canSplit ? `${raiseLimit}${parts}` : raiseLimit);
    },
  );
});

describe("a wire that is cut", () => {
  test.each([1, 10, 20, 39])("at %d MiB goes on from what the registry has", async (megabytes) => {
    const { cutAfter, bytesUp } = await begin();
    cutAfter(megabytes * MiB);
    await write(toMove(file()));
    expect(bytesUp()).toBeLessThan(blob.length * 1.05 + 16 * MiB);
    expect(events.filter(({ type }) => type === "wait").length).toBeGreaterThan(0);
  });

  test("is not trusted to be as fast as before: what follows is watched on its way", async () => {
    const { host, cutAfter } = await begin();
    const fast = { ...unknownTraits(), rate: 1e6, largestChunk: 16 * MiB };
    traits.set(host, fast);
    await write(toMove(file()));
    const unwatched = tellings;
    expect(unwatched).toBe(requests("PATCH").length);

    fast.rate = 1e6;
    cutAfter(10 * MiB);
    const other = blob.subarray(3);
    const descriptor = { mediaType, digest: digestOf(other), size: other.length };
    await write(toMove({ kind: "file", path, offset: 3 }, { descriptor }));
    expect(tellings).toBeGreaterThan(unwatched * 2);
  });

  test("in the middle of a stream opens it again where the registry is", async () => {
    const { cutAfter, bytesUp } = await begin();
    cutAfter(20 * MiB);
    await write(toMove(stream(blob)));
    expect(bytesUp()).toBeLessThan(blob.length * 1.05 + 16 * MiB);
  });

  test("in one PATCH goes on with a second one", async () => {
    const { cutAfter, bytesUp } = await begin((request, next) =>
      request.headers.has("content-range") ? refuse(request, 400) : next(request),
    );
    await write(toMove(file(), { descriptor: { mediaType, digest, size: blob.length } }));
    const other = blob.subarray(1);
    const descriptor = { mediaType, digest: digestOf(other), size: other.length };
    const before = bytesUp();
    cutAfter(30 * MiB);
    await write(toMove({ kind: "file", path, offset: 1 }, { descriptor }));
    expect(bytesUp() - before).toBeLessThan(blob.length * 1.05 + 16 * MiB);
  });
});

describe("an answer that is lost", () => {
  test("to a chunk costs no byte twice", async () => {
    const { bytesUp } = await begin(lose("PATCH"));
    await write(toMove(file()));
    expect(bytesUp()).toBeLessThan(blob.length + 10_000);
  });

  test("to the end of an upload is seen by looking", async () => {
    const { bytesUp } = await begin(async (request, next) => {
      const response = await next(request);
      return request.method === "PUT" ? new Response(null, { status: 502 }) : response;
    });
    await write(toMove(file()));
    expect(requests("PUT").length).toBe(1);
    expect(bytesUp()).toBeLessThan(blob.length + 10_000);
  });
});

describe("a session that is gone", () => {
  test("once is opened again", async () => {
    await begin((request, next, nth) =>
      request.method === "PATCH" && nth === 1 ? refuse(request, 404) : next(request),
    );
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
  });

  test("at every chunk gets one PATCH", async () => {
    await begin((request, next, nth) =>
      request.headers.has("content-range") && nth > 0 ? refuse(request, 404) : next(request),
    );
    await write(toMove(file()));
  });

  test("while nothing else works is an error after some tries", async () => {
    await begin((request, next) =>
      ["PATCH", "PUT"].includes(request.method) ? refuse(request, 500) : next(request),
    );
    const error = await failureOf(write(toMove(file())));
    expect(error.code).toBe("network");
    expect(requests("PATCH").length).toBe(5);
  });
});

describe("other bytes than promised", () => {
  test("are found by the registry", async () => {
    await begin();
    const descriptor = { mediaType, digest: digestOf("other"), size: blob.length };
    const error = await failureOf(write(toMove(file(), { descriptor })));
    expect(error.code).toBe("integrity");
    expect(requests("PUT").length).toBe(1);
  });

  test("are told as a changed file where that is known", async () => {
    await begin();
    const source: BlobSource = { kind: "file", path, offset: 0, check: changed };
    const descriptor = { mediaType, digest: digestOf("other"), size: blob.length };
    const error = await failureOf(write(toMove(source, { descriptor })));
    expect(error.message).toBe("the file changed");
  });

  test("are not asked of a file that can't be read", async () => {
    await begin();
    const error = await failureOf(write(toMove({ kind: "file", path: `${path}.gone`, offset: 0 })));
    expect(error.message).toContain("does not exist");
    expect(requests("POST")).toEqual([]);
  });

  test.each([
    ["fewer", blob.subarray(0, 17 * MiB)],
    ["more", Buffer.concat([blob, blob.subarray(0, 5)])],
  ])("a stream that has %s bytes is refused", async (words, bytes) => {
    await begin();
    const whole: BlobSource = {
      kind: "stream",
      open: ({ start }) =>
        Promise.resolve(
          new Blob([new Uint8Array(bytes.subarray(start))]).stream() as ReadableStream<Uint8Array>,
        ),
    };
    const limited = words === "more" ? whole : stream(bytes);
    const error = await failureOf(write(toMove(limited)));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain("the source");
  });

  test("a source that is not there any more is told as such", async () => {
    await begin();
    const gone: BlobSource = {
      kind: "stream",
      open: ({ start }, signal) =>
        start === 0
          ? (
              stream(blob) as {
                open: (r: object, s: AbortSignal) => Promise<ReadableStream<Uint8Array>>;
              }
            ).open({ start: 0, end: 16 * MiB }, signal)
          : Promise.reject(new OcibundleError("not_found", "the source has no such blob")),
    };
    const error = await failureOf(write(toMove(gone)));
    expect(error.code).toBe("not_found");
  });

  test("a file that is cut while it is sent does not hang", async () => {
    await begin((request, next, nth) => {
      if (request.method === "PATCH" && nth === 0) truncateSync(path, 17 * MiB);
      return next(request);
    });
    const error = await failureOf(write(toMove(file())));
    expect(["integrity", "file", "network"]).toContain(error.code);
  });
});

test("a file that is removed while it is sent is told as such", async () => {
  await begin((request, next, nth) => {
    if (request.method !== "PATCH" || nth !== 1) return next(request);
    rmSync(path);
    return refuse(request, 503);
  });
  const error = await failureOf(write(toMove(file())));
  expect(error.code).toBe("file");
  expect(error.message).toContain("does not exist");
});

describe("an interruption", () => {
  test("ends an upload at once, with its own reason", async () => {
    const abort = new AbortController();
    const reason = new OcibundleError("interrupted", "interrupted");
    await begin(async (request, next, nth) => {
      if (request.method === "PATCH" && nth === 1) {
        abort.abort(reason);
        await Bun.sleep(60_000);
      }
      return next(request);
    });
    const start = performance.now();
    expect(await failureOf(write(toMove(file()), abort.signal))).toBe(reason);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});

const noted = (): string =>
  readdirSync(notes()).find((name) => name.endsWith(".json")) ?? "nothing is noted";

/** Pushes until the registry has had `chunks` of them, then is interrupted. */
const interrupted = async (chunks: number, behave?: MeddleNth): Promise<void> => {
  const abort = new AbortController();
  await begin(async (request, next, nth) => {
    const response = await (behave ?? ((asked, on) => on(asked)))(request, next, nth);
    if (request.method === "PATCH" && nth === chunks - 1) {
      abort.abort(new OcibundleError("interrupted", "interrupted"));
    }
    return response;
  });
  expect((await failureOf(write(toMove(file()), abort.signal))).code).toBe("interrupted");
};

const spoilt = (): MeddleNth => {
  let broken: string | undefined;
  return async (request, next, nth) => {
    const { pathname } = new URL(request.url);
    if (request.method !== "PATCH") return next(request);
    if (nth === 1) broken = pathname;
    return pathname === broken ? refuse(request, 500) : next(request);
  };
};

describe("a session that a broken request has spoilt", () => {
  test("is dropped after a second failure at the same place, and the blob sent in another", async () => {
    await begin(spoilt());
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
    expect(details().join("\n")).toContain("makes no progress at byte");
  });

  test("is dropped by a later run, too", async () => {
    await interrupted(1, spoilt());
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
  });

  test("is kept through an outage", async () => {
    await begin((request, next, nth) =>
      request.method === "PATCH" && nth > 0 && nth < 4 ? refuse(request, 503) : next(request),
    );
    await write(toMove(file()));
    expect(requests("POST").length).toBe(1);
  });
});

/** A writer, and a registry that is away for so long from its PATCH number `nth` on, or from `leave` on. */
async function goesAway(milliseconds: number, patch = 1) {
  const time = recordedClock();
  let back = -Infinity;
  const leave = (): void => void (back = time.now() + milliseconds);
  const { host } = await begin((request, next, nth) => {
    if (request.method === "PATCH" && nth === patch) leave();
    return time.now() < back ? refuse(request, 503) : next(request);
  });
  const client = createRegistry(host, { clock: time });
  const writer = registryWriter(client.repository("acme/llama"), {
    traits,
    clock: time,
    // No try is left but those of an outage.
    retries: { ...transferRetries, tries: 1 },
  });
  const { signal } = new AbortController();
  const send = (move: BlobToMove) => writer.writeBlob(move, { signal, onBytes: () => undefined });
  return { send, leave, time };
}

const small = (bytes: Uint8Array): BlobToMove =>
  toMove(
    { kind: "bytes", bytes },
    { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } },
  );

describe("a registry that goes away", () => {
  test("half-way for 40 s is waited for", async () => {
    const { send } = await goesAway(40_000);
    expect(await send(toMove(file()))).toBe("sent");
    expect(requests("POST").length).toBe(1);
  });

  test("half-way for minutes is given up", async () => {
    const { send, time } = await goesAway(600_000);
    const begun = time.now();
    expect((await failureOf(send(toMove(file())))).code).toBe("network");
    expect(time.now() - begun).toBeLessThan(120_000);
  });

  test("between two blobs is waited for", async () => {
    const { send, leave } = await goesAway(40_000, Infinity);
    await send(small(randomBytes(1000)));
    leave();
    expect(await send(small(randomBytes(1000)))).toBe("sent");
  });

  test("before anything was sent is given up soon", async () => {
    const { send, leave, time } = await goesAway(40_000, Infinity);
    leave();
    const begun = time.now();
    expect((await failureOf(send(small(randomBytes(1000))))).code).toBe("network");
    expect(time.now() - begun).toBeLessThan(20_000);
  });
});

describe("a later run", () => {
  test("goes on with the upload that was broken off", async () => {
    await interrupted(1);
    const before = registry?.bytesUp() ?? 0;
    await write(toMove(file()));
    expect((registry?.bytesUp() ?? 0) - before).toBeLessThan(blob.length - 15 * MiB);
    expect(requests("POST").length).toBe(1);
    expect(readdirSync(notes())).toEqual([]);
  });

  test.each([400, 416])(
    "goes on in one PATCH where the registry refuses chunks with %d by then",
    async (status) => {
      let refuses = false;
      await interrupted(1, (request, next) =>
        refuses && ranged(request) ? refuse(request, status) : next(request),
      );
      refuses = true;
      await write(toMove(file()));
      expect(requests("POST").length).toBe(1);
      const left = blob.length - 16 * MiB;
      expect(requests("PATCH").at(-1)).toMatchObject({
        contentRange: null,
        contentLength: String(left),
      });
    },
  );

  test("begins anew when the registry has forgotten it", async () => {
    await interrupted(1, (request, next) =>
      request.method === "GET" ? refuse(request, 404) : next(request),
    );
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
    expect(details().join("\n")).toContain("the registry has discarded it");
  });

  test("begins anew when what it had sent is not the blob", async () => {
    const before = Buffer.from(blob);
    before.fill(0, 0, 1000);
    writeFileSync(path, before);
    await interrupted(1);
    writeFileSync(path, blob);
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
    expect(details().join("\n")).toContain("does not match the blob");
  });

  test("removes what killed ones left, once it is too old, and nothing that is in use", async () => {
    await interrupted(1);
    const [held, left, leftNote] = ["held.lock", "left.lock", "left.json"].map((name) =>
      join(notes(), name),
    ) as [string, string, string];
    const lock = tryLockFile(held);
    writeFileSync(left, "");
    writeFileSync(leftNote, "{}");
    for (const old of [held, left, leftNote]) utimesSync(old, 0, 0);
    await write(toMove(file()));
    expect(readdirSync(notes()).filter((name) => !name.endsWith(".holder"))).toEqual(["held.lock"]);
    lock?.release();
  });

  test("keeps notes private, and believes none that are damaged, old or of another registry", async () => {
    await interrupted(1);
    const note = join(notes(), noted());
    expect(statSync(note).mode & 0o777).toBe(0o600);
    expect(statSync(notes()).mode & 0o777).toBe(0o700);
    const text = readFileSync(note, "utf8");
    const privately = (content: string) => {
      rmSync(note, { force: true });
      writeFileSync(note, content, { mode: 0o600 });
    };
    for (const damage of [
      () => privately(text.slice(0, -5)),
      () => privately(text.replace(/"upload":"[0-9a-f]+"/, `"upload":"${"0".repeat(64)}"`)),
      () => {
        privately(text);
        chmodSync(note, 0o666);
      },
      () => {
        privately(text);
        utimesSync(note, 0, 0);
      },
    ]) {
      damage();
      const posts = requests("POST").length;
      const part = toMove(file(), { descriptor: { mediaType, digest, size: blob.length } });
      await write(part);
      expect(requests("POST").length).toBe(posts + 1);
    }
  });

  test("uses no notes in a directory that others may write to", async () => {
    await interrupted(1);
    chmodSync(notes(), 0o777);
    await write(toMove(file()));
    expect(requests("POST").length).toBe(2);
  });

  test("sends nothing to a host that the registry does not name", async () => {
    await interrupted(1);
    await using stranger = serve(
      () => new Response(null, { status: 204, headers: { range: "0-99" } }),
    );
    const note = join(notes(), noted());
    const text = readFileSync(note, "utf8");
    rmSync(note);
    writeFileSync(note, text.replace(/127\.0\.0\.1:\d+/, stranger.host), { mode: 0o600 });
    await write(toMove(file()));
    expect(stranger.seen).toEqual([]);
    expect(details().join("\n")).toContain("on a host that the registry does not use");
  });

  test("goes on at another host where the registry gives uploads there", async () => {
    const elsewhere = (response: Response): Response => {
      const headers = new Headers(response.headers);
      const location = headers.get("location");
      const host = registry?.host.replace("127.0.0.1", "localhost") ?? "";
      if (location !== null) headers.set("location", `http://${host}${location}`);
      return new Response(response.body, { status: response.status, headers });
    };
    await interrupted(1, async (request, next) =>
      request.url.includes("/uploads/") ? elsewhere(await next(request)) : next(request),
    );
    const before = registry?.bytesUp() ?? 0;
    await write(toMove(file()));
    expect((registry?.bytesUp() ?? 0) - before).toBeLessThan(blob.length - 15 * MiB);
  });

  test("leaves an upload alone that another is at", async () => {
    await interrupted(1);
    const lock = tryLockFile(join(notes(), noted().replace(".json", ".lock")));
    await write(toMove(file()));
    lock?.release();
    expect(requests("POST").length).toBe(2);
  });
});
