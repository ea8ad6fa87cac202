import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { copyModel } from "../../../src/model/jobs/copy.ts";
import { inspectSource } from "../../../src/model/jobs/inspect.ts";
import { pullWeights } from "../../../src/model/pull/pull.ts";
import { pushModel } from "../../../src/model/jobs/push.ts";
import { verifySource } from "../../../src/model/jobs/verify.ts";
import { heldBytes } from "../../../src/registry/mirrored.ts";
import { pushOfNothing } from "../../support/model/push.ts";
import { type Job, preparedJob } from "../../support/model/job.ts";
import { failureOf } from "../../support/failure.ts";
import {
  type Meddle,
  type RecordingRegistry,
  recordingRegistry,
} from "../../support/registry/recording-registry.ts";
import { writeFiles } from "../../support/temporary-directory.ts";

/** Too large to be checked before it is handed on. */
const large = new Uint8Array(randomBytes(heldBytes + 12_345));

interface Setting {
  job: Job;
  reference: string;
  origin: RecordingRegistry;
  mirror: RecordingRegistry;
}

/** A model on a registry and on its mirror, which the configuration names. */
async function modelWithMirror(files: Record<string, string | Uint8Array>): Promise<Setting> {
  const [origin, mirror] = [await recordingRegistry(), await recordingRegistry()];
  const job = await preparedJob(files);
  const reference = `${origin.host}/acme/model:v1`;
  const push = (to: string) =>
    pushModel(job, {
      ...pushOfNothing,
      reference: to,
      image: "oci:image:v1",
      weights: ["weights"],
    });
  await push(reference);
  await push(`${mirror.host}/hub/acme/model:v1`);
  await writeFiles(job.cwd, {
    ".config/ocibundle/config.yaml": JSON.stringify({
      registries: { [origin.host]: { mirrors: [`http://${mirror.host}/hub`] } },
    }),
  });
  await rm(join(job.cwd, ".cache"), { recursive: true });
  for (const registry of [origin, mirror]) registry.seen.length = 0;
  job.events.length = 0;
  return { job, reference, origin, mirror };
}

const pull = (job: Job, source: string, useCache = true) =>
  pullWeights(job, { source, output: "models", only: [], force: false, useCache });

const pulled = (job: Job, name: string) =>
  readFile(join(job.cwd, "models/src/weights", name)).then((bytes) => new Uint8Array(bytes));

/** Blobs of at least so many bytes come with one changed, in the part that begins the blob. */
const lyingFrom =
  (least: number): Meddle =>
  async (request, next) => {
    const response = await next(request);
    const starts = /^bytes=0-|^$/.test(request.headers.get("range") ?? "");
    if (request.method !== "GET" || !request.url.includes("/blobs/sha256:") || !starts) {
      return response;
    }
    const bytes = await response.bytes();
    if (bytes.length >= least) bytes[0] = (bytes[0] ?? 0) ^ 1;
    return new Response(bytes, { status: response.status, headers: response.headers });
  };

/** Only what nobody checks before it is handed on. */
const lying = lyingFrom(100_000);

const blobsRead = ({ seen }: RecordingRegistry): number =>
  seen.filter(({ method, path }) => method === "GET" && path.includes("/blobs/")).length;

describe("through a mirror", () => {
  test("a model is pulled, shown, verified and copied without the registry itself", async () => {
    const { job, reference, origin, mirror } = await modelWithMirror({
      "a.bin": "first",
      "b.bin": large,
    });
    await pull(job, reference);
    expect(await pulled(job, "b.bin")).toEqual(large);
    await inspectSource(job, reference);
    expect(
      await verifySource(job, { source: reference, dir: undefined, quick: false }),
    ).toMatchObject({ problems: [] });
    await copyModel(job, {
      source: reference,
      target: "oci:copied:v1",
      platform: undefined,
      referrers: false,
      dryRun: false,
    });
    expect(origin.seen).toEqual([]);
    expect(blobsRead(mirror)).toBeGreaterThan(0);
    expect(mirror.seen.every(({ query }) => query.get("ns") === origin.host)).toBe(true);
    expect(job.warnings()).toEqual([]);
  });

  test("nothing is pushed, and what is missing is asked of the registry itself", async () => {
    const { job, origin, mirror } = await modelWithMirror({ "a.bin": "first" });
    await pushModel(job, {
      reference: `${origin.host}/acme/other:v1`,
      ...pushOfNothing,
      weights: ["weights"],
    });
    expect(mirror.seen).toEqual([]);
    expect(origin.done).toContain("PUT acme/other/manifests/v1");
  });
});

describe("with a mirror that is wrong, the right bytes come from the registry itself", () => {
  test.each([true, false])("in a pull (cache: %p)", async (useCache) => {
    const { job, reference, origin, mirror } = await modelWithMirror({
      "a.bin": "first",
      "b.bin": large,
    });
    mirror.meddle(lying);
    await pull(job, reference, useCache);
    expect(await pulled(job, "a.bin")).toEqual(new TextEncoder().encode("first"));
    expect(await pulled(job, "b.bin")).toEqual(large);
    expect(blobsRead(origin)).toBeGreaterThan(0);
    expect(job.warnings()).toHaveLength(1);
    expect(job.warnings()[0]).toStartWith(`mirror "http://${mirror.host}/hub": `);
    const done = job.events.flatMap((event) =>
      event.type === "progress" && event.phase === "download" && event.item === "b"
        ? [event.bytes]
        : [],
    );
    expect(done.reduce((sum, bytes) => sum + bytes, 0)).toBe(large.length);
  });

  test("in a pull of small files", async () => {
    const { job, reference, mirror } = await modelWithMirror({ "a.bin": "first" });
    mirror.meddle(lyingFrom(1));
    await pull(job, reference);
    expect(await pulled(job, "a.bin")).toEqual(new TextEncoder().encode("first"));
    expect(job.warnings()).toHaveLength(1);
  });

  test("in a copy to a layout and to a registry", async () => {
    const { job, reference, mirror } = await modelWithMirror({ "b.bin": large });
    mirror.meddle(lying);
    const target = await recordingRegistry();
    for (const to of ["oci:copied:v1", `${target.host}/acme/copied:v1`]) {
      await copyModel(job, {
        source: reference,
        target: to,
        platform: undefined,
        referrers: false,
        dryRun: false,
      });
      const found = await verifySource(job, { source: to, dir: undefined, quick: false });
      expect(found.problems).toEqual([]);
    }
  });

  test("in a verification", async () => {
    const { job, reference, mirror } = await modelWithMirror({ "b.bin": large });
    mirror.meddle(lying);
    const request = { source: reference, dir: undefined, quick: false };
    expect((await verifySource(job, request)).problems).toEqual([]);
    expect(job.events.filter(({ type }) => type === "done").length).toBe(
      job.events.filter(({ type }) => type === "start").length,
    );
  });

  test("and where those are wrong too, that is an error", async () => {
    const { job, reference, origin, mirror } = await modelWithMirror({ "b.bin": large });
    mirror.meddle(lying);
    origin.meddle(lying);
    expect((await failureOf(pull(job, reference))).code).toBe("integrity");
    const { problems } = await verifySource(job, {
      source: reference,
      dir: undefined,
      quick: false,
    });
    expect(problems).not.toBeEmpty();
  });
});

describe("the settings of a host", () => {
  test("are those of the mirror's own, and flags are for the registry that is named", async () => {
    const { job, reference, mirror, origin } = await modelWithMirror({ "a.bin": "first" });
    const hosts = { [origin.host]: { mirrors: [`https://${mirror.host}/hub`] } };
    await writeFiles(job.cwd, {
      ".config/ocibundle/config.yaml": JSON.stringify({ registries: hosts }),
    });
    // It speaks no TLS, whatever the flag says.
    const plain = { ...job, flags: { ...job.flags, plainHttp: true } };
    await pull(plain, reference);
    expect(mirror.seen).toEqual([]);
    expect(job.warnings()).toHaveLength(1);
  });

  test("of a mirror's headers go to the mirror, and to nobody that it leads to", async () => {
    const { job, reference, mirror, origin } = await modelWithMirror({ "a.bin": "first" });
    const headers = { "X-Meant": "origin" };
    const mirrors = [{ url: `http://${mirror.host}/hub`, headers }];
    await writeFiles(job.cwd, {
      ".config/ocibundle/config.yaml": JSON.stringify({
        registries: { [origin.host]: { mirrors } },
      }),
    });
    const told: (string | null)[] = [];
    mirror.meddle((request, next) => {
      told.push(request.headers.get("x-meant"));
      if (!request.url.includes("/blobs/")) return next(request);
      const path = new URL(request.url).pathname.replace("/hub/", "/");
      return Response.redirect(`http://${origin.host}${path}`, 307);
    });
    const seen: (string | null)[] = [];
    origin.meddle((request, next) => {
      seen.push(request.headers.get("x-meant"));
      return next(request);
    });
    await pull(job, reference);
    expect(new Set(told)).toEqual(new Set(["origin"]));
    expect(new Set(seen)).toEqual(new Set([null]));
  });

  test("reach the registry without a flag", async () => {
    const { job, reference, origin } = await modelWithMirror({ "a.bin": "first" });
    const settings = { [origin.host]: { insecure: true } };
    await writeFiles(job.cwd, { "own.yaml": JSON.stringify({ registries: settings }) });
    const own = { ...job, flags: { ...job.flags, config: "own.yaml" } };
    // Without a check of certificates, TLS is spoken on loopback too: here nobody does.
    expect((await failureOf(pull(own, reference))).code).toBe("network");
    expect(job.warnings()).toEqual([`${origin.host}: TLS certificates are not verified`]);
  });
});
