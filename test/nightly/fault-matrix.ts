import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { type ErrorCode, OcibundleError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { createWorkerPool, type WorkerPool } from "../../src/runtime/worker-pool.ts";
import { serveBreakable } from "../../src/server/breakable-server.ts";
import { openServed } from "../../src/server/serving.ts";
import { createDownloader } from "../../src/transfer/download/download.ts";
import { registryWriter } from "../../src/transfer/registry-writer.ts";
import { nothingSeen } from "../../src/transfer/upload/upload-way.ts";
import { randomBytes } from "../robustness/program-run.ts";

/**
 * Each kind of fault at each step of a push and a pull, one to three times in a row: a run ends right, or
 * with the exit code of what is really wrong. Over real connections, with everything that waits hurried.
 */
const MiB = 1024 * 1024;

/** One that goes in chunks and ranges, one that goes in a PUT. */
const large = randomBytes(11 * MiB + 17, 1);
const small = randomBytes(70_001, 2);

let workers: WorkerPool;
let folder: string;

beforeAll(() => {
  workers = createWorkerPool(2);
  folder = mkdtempSync(join(tmpdir(), "ocibundle-matrix-"));
});
afterAll(async () => {
  await workers.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Hardly a wait, but time for a server to see that a connection is gone. In milliseconds: 20. */
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
const clock = {
  now: () => performance.now(),
  random: () => 0,
  sleep: () => moment(),
};
const hurried = { silent: 200, dead: 400, young: 100, factor: 4, short: 50 };
const retries = { tries: 6, firstWait: 1, longestWait: 1 };

const descriptorOf = (bytes: Uint8Array) => ({
  mediaType: "application/octet-stream",
  digest: digestOf(bytes),
  size: bytes.length,
});
const blobs = [large, small].map((bytes) => ({ bytes, descriptor: descriptorOf(bytes) }));
const manifestBytes = new TextEncoder().encode(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: blobs[1]?.descriptor,
    layers: [blobs[0]?.descriptor],
  }),
);
const manifest = {
  mediaType: mediaTypes.ociManifest,
  digest: digestOf(manifestBytes),
  bytes: manifestBytes,
};

type Outcome = ErrorCode | "right";

/** Pushes and pulls everything; what is there at the end is compared. */
async function round(fault: readonly string[]): Promise<{ outcome: Outcome; error?: unknown }> {
  const place = mkdtempSync(join(folder, "round-"));
  const { handle } = await openServed(join(place, "storage"), { tokenAuth: true, fault });
  await using server = await served(handle);
  const signal = AbortSignal.timeout(50_000);
  const registry = createRegistry(server.host, {
    patience: { now: Date.now, random: () => 0, sleep: () => moment() },
    firstByteTimeout: 300,
    idleTimeout: 300,
    finishTimeout: 300,
  });
  const repository = registry.repository("acme/llama");
  // As if a registry was seen before: chunks are small, and the stall of one is not waited out.
  const seen = new Map([[server.host, { ...nothingSeen(), largestChunk: 5 * MiB, rate: 20_000 }]]);
  const writer = registryWriter(repository, { clock, retries, seen });
  try {
    await registry.ping(signal);
    for (const { bytes, descriptor } of blobs) {
      if (await writer.hasBlob(descriptor, signal)) throw new Error("there before it was sent");
      const source = () => Promise.resolve({ kind: "bytes" as const, bytes });
      const blob = { descriptor, source, group: "weights", label: "weight" };
      await writer.writeBlob(blob, { signal });
    }
    await writer.writeManifest(manifest, "v1", signal);
    expect(await repository.getManifest("v1", signal)).toEqual(manifest);

    const downloader = createDownloader({
      workers,
      emit() {},
      clock,
      retries,
      pace: hurried,
    });
    for (const [index, { bytes, descriptor }] of blobs.entries()) {
      const path = await downloader.download(
        {
          descriptor,
          open: (range, stop) => repository.getBlob(descriptor, range, stop),
          host: registry.host,
          label: "weight",
          item: "weight",
          place: {
            partial: join(place, `${index}.partial`),
            journal: join(place, `${index}.journal`),
          },
        },
        { signal },
      );
      expect(readFileSync(path).equals(bytes)).toBe(true);
    }
    return { outcome: "right" };
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    return { outcome: error.code, error };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function served(handle: (request: Request) => Promise<Response>) {
  const server = await serveBreakable({ hostname: "127.0.0.1", port: 0, handle });
  return {
    host: `127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

/** Where in a push and a pull. */
const phases = {
  ping: "method=GET,path=/v2/",
  token: "path=/token",
  HEAD: "method=HEAD,path=*/blobs/*",
  POST: "method=POST,path=*/blobs/uploads/",
  PATCH: "method=PATCH",
  PUT: "method=PUT,path=*/blobs/uploads/*",
  "manifest PUT": "method=PUT,path=*/manifests/*",
  GET: "method=GET,path=*/manifests/*",
  "ranged GET": "method=GET,path=*/blobs/sha256*,range=yes",
} as const;

/** What a run ends with; where nothing is said it ends right. */
type Expected = Partial<Record<keyof typeof phases, Outcome>>;

/** Wrong bytes are no bad moment, so they are not asked for again; what has no body has none to suffer. */
const truncated: Expected = {
  token: "network",
  PUT: "integrity",
  "manifest PUT": "network",
  GET: "network",
};
const corrupted: Expected = {
  token: "denied",
  PATCH: "integrity",
  PUT: "integrity",
  "manifest PUT": "network",
  GET: "integrity",
  "ranged GET": "integrity",
};

const kinds: Record<string, Expected> = {
  "status:500": {},
  "status:503,retry-after=0": {},
  "status:429,retry-after=0": {},
  "status:408": {},
  reset: {},
  "reset,at=40": {},
  stall: {},
  "stall,at=40": {},
  "truncate,at=40": truncated,
  "corrupt,at=40": corrupted,
  "slow:6000000": {},
  drop: {},
};

/** Rounds at once. */
const limit = pLimit(6);

const tryOut = (name: string, fault: string, expected: Outcome): void =>
  test.concurrent(
    name,
    () =>
      limit(async () => {
        const { outcome, error } = await round([fault]);
        expect({ outcome, said: outcome === expected ? "" : String(error) }).toEqual({
          outcome: expected,
          said: "",
        });
      }),
    60_000,
  );

for (const [phase, filter] of Object.entries(phases)) {
  describe(`at ${phase}`, () => {
    for (const [kind, expected] of Object.entries(kinds)) {
      for (const times of [1, 2, 3]) {
        // The first PUT ends the large blob and has no body. How long a stalled chunk is waited for is
        // known by the rate of the one before it.
        const after = phase === "PUT" || (phase === "PATCH" && kind.startsWith("stall")) ? 1 : 0;
        // A PUT that was refused for its bytes is sent once more.
        const passing = phase === "PUT" && times === 1;
        const outcome = passing ? "right" : (expected[phase as keyof typeof phases] ?? "right");
        tryOut(
          `${kind} ${times} times in a row ends ${outcome}`,
          `${kind},${filter},after=${after},times=${times}`,
          outcome,
        );
      }
    }

    // Also shows that each of the filters finds what it is for.
    for (const [fault, outcome] of [
      ["status:503", "network"],
      ["status:403", "denied"],
      ["reset", "network"],
    ] as const) {
      tryOut(`${fault} for ever ends ${outcome}`, `${fault},${filter}`, outcome);
    }
  });
}
