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
import { serveHttp } from "../../src/harness/registry/instance/http-server.ts";
import type { Fault } from "../../src/harness/misbehave/faults/fault.ts";
import { withFaults } from "../../src/harness/misbehave/faults/faults.ts";
import { faultMatcher } from "../../src/harness/misbehave/faults/matcher.ts";
import { parseFault } from "../../src/harness/misbehave/faults/parse.ts";
import type { RegistryHandler } from "../../src/harness/registry/routes/registry.ts";
import { openServed } from "../../src/harness/registry/serving.ts";
import { createDownloader } from "../../src/transfer/download/download.ts";
import { registryWriter } from "../../src/transfer/upload/registry-writer.ts";
import { unknownTraits } from "../../src/transfer/upload/registry-traits.ts";
import { randomBytes } from "../support/attacks/program-run.ts";

/**
 * Each kind of fault at each step of a push and a pull, one to three times in a row: a run ends right, or
 * with the exit code of what is really wrong. Over real connections, with everything that waits hurried.
 * Each run shows that its fault was met, and what the registry has at the end is compared.
 */
const MiB = 1024 * 1024;

/** One that goes in chunks and ranges, one that goes in a PUT. */
const large = randomBytes(11 * MiB + 17, 1);
const small = randomBytes(70_001, 2);

let workers: WorkerPool;
let directory: string;

beforeAll(() => {
  workers = createWorkerPool(2);
  directory = mkdtempSync(join(tmpdir(), "ocibundle-matrix-"));
});
afterAll(async () => {
  await workers.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Hardly a wait, but time for a server to see that a connection is gone. In milliseconds: 20. */
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
const clock = {
  now: () => Date.now(),
  random: () => 0,
  sleep: () => moment(),
};
/**
 * How long a silence is waited out, in milliseconds: not long where one is sure to come, and elsewhere so
 * long that a busy machine is not taken for one.
 */
const patienceWith = (kind: string): number => (kind.startsWith("stall") ? 700 : 20_000);
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

interface Round {
  outcome: Outcome;
  error?: unknown;
  /** How many requests the fault happened to. */
  met: number;
  /** How many of them had a body for it, the request's or the answer's. */
  bodies: number;
}

/** Pushes and pulls everything, with a fault of a kind at the requests that a filter finds. */
async function round(kind: string, filter: string): Promise<Round> {
  const place = mkdtempSync(join(directory, "round-"));
  const storage = join(place, "storage");
  const handle = await openServed(storage, { tokenAuth: true });
  const watched = watch(handle, parseFault(kind), parseFault(`${kind},${filter}`));
  let outcome: Outcome = "right";
  let error: unknown;
  try {
    await using server = await served(watched.handle);
    await pushAndPull(server.host, place, patienceWith(kind));
  } catch (thrown) {
    if (!(thrown instanceof OcibundleError)) throw thrown;
    outcome = thrown.code;
    error = thrown;
  }
  const there = await kept(storage);
  if (outcome === "right") expect(there).toBe("everything");
  else expect(["everything", "nothing"]).toContain(there);
  rmSync(place, { recursive: true, force: true });
  return { outcome, error, met: watched.met, bodies: watched.bodies };
}

/** A registry with a fault, which counts what the fault meets. */
function watch(inner: RegistryHandler, always: Fault, filtered: Fault) {
  const isMet = faultMatcher(filtered.filter);
  const at = "at" in always.what ? (always.what.at ?? 0) : 0;
  const faulty = withFaults([always])(async (request) => {
    const response = await inner(request);
    if (request.body === null && (await sizeOf(response)) > at) watched.bodies += 1;
    return response;
  });
  const watched = {
    met: 0,
    bodies: 0,
    async handle(request: Request): Promise<Response> {
      if (!isMet(request, false)) return await inner(request);
      watched.met += 1;
      if ((await sizeOf(request)) > at) watched.bodies += 1;
      return await faulty(request);
    },
  };
  return watched;
}

/** How long a body is; what does not say it is short. */
async function sizeOf(message: Request | Response): Promise<number> {
  if (message.body === null) return 0;
  const said = message.headers.get("content-length");
  return said === null ? (await message.clone().arrayBuffer()).byteLength : Number(said);
}

async function pushAndPull(host: string, place: string, patience: number): Promise<void> {
  const signal = AbortSignal.timeout(50_000);
  const registry = createRegistry(host, {
    clock,
    firstByteTimeout: patience,
    idleTimeout: patience,
    finishTimeout: patience,
  });
  const repository = registry.repository("acme/llama");
  // As if a registry was seen before: the large blob takes more than a second, so it is sent in chunks; they are small,
  // and the stall of one is not waited out.
  const traits = new Map([[host, { ...unknownTraits(), largestChunk: 5 * MiB, rate: 10_000 }]]);
  const writer = registryWriter(repository, { clock, retries, traits });
  await registry.ping(signal);
  for (const { bytes, descriptor } of blobs) {
    if (await writer.hasBlob(descriptor, signal)) throw new Error("there before it was sent");
    const source = () => Promise.resolve({ kind: "bytes" as const, bytes });
    const blob = { descriptor, source, group: "weights", label: "weight" };
    await writer.writeBlob(blob, { signal });
  }
  await writer.writeManifest(manifest, "v1", signal);
  expect(await repository.getManifest("v1", signal)).toEqual(manifest);

  const pace = { silent: 200, dead: patience, young: 100, factor: 4, short: 50 };
  const downloader = createDownloader({ workers, emit() {}, clock, retries, pace });
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
}

/** What a storage has, asked without faults: under the tag there is all of it, or nothing. */
async function kept(storage: string): Promise<"everything" | "nothing" | "something else"> {
  const handle = await openServed(storage, {});
  const get = async (what: string): Promise<Buffer | undefined> => {
    const response = await handle(new Request(`http://registry/v2/acme/llama/${what}`));
    return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined;
  };
  const tagged = await get("manifests/v1");
  if (tagged === undefined) return "nothing";
  if (!tagged.equals(manifestBytes)) return "something else";
  for (const { bytes, descriptor } of blobs) {
    const there = await get(`blobs/${descriptor.digest}`);
    if (there?.equals(bytes) !== true) return "something else";
  }
  return "everything";
}

async function served(handle: RegistryHandler) {
  const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle });
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
  "closing PUT": "method=PUT,path=*/blobs/uploads/*",
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

interface Trial {
  kind: string;
  filter: string;
  expected: Outcome;
  /** How often the fault must have been met, and how many bodies it must have found. */
  met: (count: number) => boolean;
  bodies: (count: number) => boolean;
}

const tryOut = (name: string, { kind, filter, expected, met, bodies }: Trial): void =>
  test.concurrent(
    name,
    () =>
      limit(async () => {
        const ended = await round(kind, filter);
        const { outcome, error } = ended;
        expect({ outcome, said: outcome === expected ? "" : String(error) }).toEqual({
          outcome: expected,
          said: "",
        });
        expect([ended.met, ended.met > 0 && met(ended.met)]).toEqual([ended.met, true]);
        expect([ended.bodies, bodies(ended.bodies)]).toEqual([ended.bodies, true]);
      }),
    60_000,
  );

/** What happens to a body, and where there is none to no more than the connection. */
const needsBody = (kind: string): boolean => /^(?:truncate|corrupt|slow)|,at=/.test(kind);
const haveNoBody = new Set(["HEAD", "POST", "closing PUT"]);

/** Where a request that was waited for in vain three times is given up; parts of blobs are tried more often. */
const givenUp: Readonly<Record<string, ReadonlySet<string>>> = {
  stall: new Set(["ping", "token", "POST", "manifest PUT", "GET"]),
  "stall,at=40": new Set(["token", "manifest PUT", "GET"]),
};

/** What must pass before anything else happens: it is met as often as it comes. */
const mustPass = (kind: string): boolean => /^(?:status|reset$|stall$)/.test(kind);

const whatever = (): boolean => true;

for (const [phase, filter] of Object.entries(phases)) {
  describe(`at ${phase}`, () => {
    for (const [kind, outcomes] of Object.entries(kinds)) {
      // The PUT behind it, which has a body, would be met too.
      if (phase === "closing PUT" && needsBody(kind)) continue;
      const bodiless = haveNoBody.has(phase);
      for (const times of [1, 2, 3]) {
        // The first PUT ends the large blob and has no body. How long a stalled chunk is waited for is
        // known by the rate of the one before it.
        const after = phase === "PUT" || (phase === "PATCH" && kind.startsWith("stall")) ? 1 : 0;
        // A PUT that was refused for its bytes is sent once more.
        const passing = phase === "PUT" && times === 1;
        const last = times === 3 && givenUp[kind]?.has(phase) === true ? "network" : "right";
        const expected = passing ? "right" : (outcomes[phase as keyof typeof phases] ?? last);
        const nothing = needsBody(kind) && bodiless ? ", without a body" : "";
        tryOut(`${kind}${nothing} ${times} times in a row ends ${expected}`, {
          kind,
          filter: `${filter},after=${after},times=${times}`,
          expected,
          // A HEAD that fails is asked once for each of the two blobs; then a GET decides.
          met: mustPass(kind)
            ? (count) => count === times || (phase === "HEAD" && count === blobs.length)
            : whatever,
          bodies: needsBody(kind) ? (count) => (bodiless ? count === 0 : count > 0) : whatever,
        });
      }
    }

    for (const [kind, expected] of [
      // A registry that fails at HEAD, or refuses it, is asked by GET.
      ["status:503", phase === "HEAD" ? "right" : "network"],
      ["status:403", phase === "HEAD" ? "right" : "denied"],
      ["reset", phase === "HEAD" ? "right" : "network"],
    ] as const) {
      tryOut(`${kind} for ever ends ${expected}`, {
        kind,
        filter,
        expected,
        met: whatever,
        bodies: whatever,
      });
    }
  });
}
