import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { examineRegistry } from "../../../../src/model/doctor/doctor.ts";
import { checkNames } from "../../../../src/model/doctor/check.ts";
import { createEmbeddedRegistry } from "../../../../src/harness/registry/routes/registry.ts";
import { doctorReport } from "../../../../src/ui/doctor-report.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type Meddle,
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import type { CheckName, DoctorReport } from "../../../../src/report/doctor.ts";
import { refusal } from "../../../support/registry/registry-client.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const name = "acme/llama";

const job = async (): Promise<Job> => jobIn(await temporaryDirectory());

const examine = (at: RecordingRegistry, by: Job, size = 64 * KiB): Promise<DoctorReport> =>
  examineRegistry(by, { reference: `${at.host}/${name}`, size });

/** What is found at a registry where something happens to requests. */
async function examined(meddle: Meddle, size?: number): Promise<DoctorReport> {
  const registry = await recordingRegistry();
  registry.meddle(meddle);
  return examine(registry, await job(), size);
}

const found = ({ checks }: DoctorReport, of: CheckName) => checks.find(({ check }) => check === of);

/** The names of the checks that did not end with a "yes". */
const lacking = ({ checks }: DoctorReport): CheckName[] =>
  checks.filter(({ result }) => result !== "yes").map(({ check }) => check);

/** Has requests that fit refused, and passes the others on. */
const refusing =
  (fits: (request: Request) => boolean, status: number): Meddle =>
  (request, next) =>
    fits(request) ? refusal(status, "UNSUPPORTED", "not here") : next(request);

const isUpload = ({ url }: Request): boolean => url.includes("/blobs/uploads/");
const isBlob = ({ url }: Request): boolean => /\/blobs\/sha256:/.test(url);
const isManifest = ({ url }: Request): boolean => url.includes("/manifests/");

describe("a registry that can do everything", () => {
  test("is found to, and all that was put there is gone", async () => {
    const registry = await recordingRegistry();
    const by = await job();
    const report = await examine(registry, by);
    expect(report.checks.map(({ check }) => check)).toEqual([...checkNames]);
    expect(lacking(report)).toEqual(["login"]);
    expect(report.left).toEqual([]);
    expect(report.limits).toBeNull();
    expect(found(report, "chunks")).toMatchObject({ bytes: 64 * KiB, chunk: 16 * KiB });
    expect(found(report, "referrers")).toMatchObject({ filters: true });
    expect(found(report, "parallel")?.connections).toBeGreaterThan(1);
    for (const measured of ["upload", "download"] as const) {
      expect(found(report, measured)?.bytesPerSecond).toBeGreaterThan(0);
    }
    const tags = await registry.ask(`/v2/${name}/tags/list`);
    expect(tags.status === 404 || ((await tags.json()) as { tags: [] }).tags.length === 0).toBe(
      true,
    );
    expect(by.warnings()).toEqual([]);
  });

  test("has nothing of what was there before taken away", async () => {
    const registry = await recordingRegistry();
    const empty = "application/vnd.oci.empty.v1+json";
    const config = await putBlob(registry, name, "{}", empty);
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    await putManifest(registry, name, "v1", {
      schemaVersion: 2,
      mediaType,
      config,
      layers: [config],
    });
    const report = await examineRegistry(await job(), {
      reference: `${registry.host}/${name}:v1`,
      size: 4 * KiB,
    });
    expect(lacking(report)).toEqual(["login"]);
    expect(found(report, "read")?.digest).toStartWith("sha256:");
    const blob = await registry.ask(`/v2/${name}/blobs/${config.digest}`);
    expect(await blob.text()).toBe("{}");
    const tags = await registry.ask(`/v2/${name}/tags/list`);
    expect(await tags.json()).toMatchObject({ tags: ["v1"] });
  });

  test.each([1, 2, 3, 5])("is so with a body of %d bytes", async (size) => {
    expect(lacking(await examined((request, next) => next(request), size))).toEqual(
      // One byte can't break off in the middle.
      size === 1 ? ["login", "resume"] : ["login"],
    );
  });

  test("leaves nothing in the cache", async () => {
    const registry = await recordingRegistry();
    const by = await job();
    await examine(registry, by);
    const cache = by.env["OCIBUNDLE_CACHE"] ?? "";
    const left = await readdir(cache, { recursive: true });
    expect(left.filter((path) => path.includes("doctor"))).toEqual([]);
  });
});

describe("what a registry refuses is a no, with the reason", () => {
  test("one PUT", async () => {
    const report = await examined((request, next) =>
      request.method === "PUT" &&
      isUpload(request) &&
      Number(request.headers.get("content-length")) > 32 * KiB
        ? refusal(413, "SIZE_INVALID", "too much at once")
        : next(request),
    );
    expect(lacking(report)).toEqual(["login", "put"]);
    expect(found(report, "put")).toMatchObject({
      result: "no",
      reason: "413 SIZE_INVALID: too much at once",
    });
  });

  test("chunks of any size, by which a stream still shows where it is", async () => {
    const report = await examined(
      refusing(({ method, headers }) => method === "PATCH" && headers.has("content-range"), 400),
    );
    expect(lacking(report)).toEqual(["login", "chunks"]);
  });

  test("large chunks, where smaller ones go through", async () => {
    const report = await examined(
      (request, next) =>
        request.headers.has("content-range") &&
        Number(request.headers.get("content-length")) > 2 * MiB
          ? refusal(416, "BLOB_UPLOAD_INVALID", "the chunk is too large")
          : next(request),
      9 * MiB,
    );
    expect(lacking(report)).toEqual(["login"]);
    expect(found(report, "chunks")).toMatchObject({ chunk: MiB, bytes: 4 * MiB });
    expect(found(report, "chunks")?.reason).toContain("the chunk is too large");
    expect(report.left).toEqual([]);
  });

  test.each([
    [50, 16],
    [200, 120],
  ])("more than %d layers, where weights have parts for fewer", async (most, layers) => {
    const report = await examined(async (request, next) => {
      if (request.method !== "PUT" || !request.url.includes("/manifests/")) return next(request);
      const manifest = JSON.parse(await request.clone().text()) as { layers?: unknown[] };
      return (manifest.layers?.length ?? 0) > most
        ? refusal(400, "MANIFEST_INVALID", "too many layers")
        : next(request);
    });
    expect(lacking(report)).toEqual(["login", "layers"]);
    expect(found(report, "layers")).toMatchObject({ layers });
    expect(report.left).toEqual([]);
  });

  test("an upload's state", async () => {
    const report = await examined(
      refusing((request) => request.method === "GET" && isUpload(request), 404),
    );
    expect(lacking(report)).toEqual(["login", "resume"]);
  });

  test("an upload's state that stays where it was", async () => {
    const report = await examined(async (request, next) => {
      const response = await next(request);
      if (!isUpload(request) || request.method !== "GET") return response;
      const headers = new Headers(response.headers);
      headers.set("range", "0-16383");
      return new Response(null, { status: 204, headers });
    });
    expect(lacking(report)).toEqual(["login", "resume"]);
    expect(found(report, "resume")?.reason).toBe(
      "the upload reports 16384 bytes after 32768 were sent",
    );
  });

  test("mounts, by an upload in their place and by a refusal", async () => {
    const ignored = await examined((request, next) => {
      const url = new URL(request.url);
      if (!url.searchParams.has("mount")) return next(request);
      url.search = "";
      return next(new Request(url, { method: "POST" }));
    });
    expect(lacking(ignored)).toEqual(["login", "mount"]);
    expect(found(ignored, "mount")?.reason).toContain("202");
    const refused = await examined(refusing(({ url }) => url.includes("mount="), 405));
    expect(lacking(refused)).toEqual(["login", "mount"]);
    expect(refused.left).toEqual([]);
  });

  test("artifacts of an unknown type, and then what needs one", async () => {
    const report = await examined(async (request, next) => {
      if (request.method !== "PUT" || !isManifest(request)) return next(request);
      const bytes = await request.clone().text();
      return bytes.includes('"artifactType":"application/vnd.cog.weights.v1","config"')
        ? refusal(400, "MANIFEST_INVALID", "unknown artifact type")
        : next(request);
    });
    const needing = ["artifact", "index", "referrers", "delete-tag"] as const;
    expect(lacking(report)).toEqual(["login", ...needing]);
    expect(found(report, "artifact")?.reason).toBe("400 MANIFEST_INVALID: unknown artifact type");
    expect(report.left).toEqual([]);
  });

  test("an index with an entry that is no image", async () => {
    const report = await examined((request, next) =>
      request.method === "PUT" && request.headers.get("content-type")?.includes("index") === true
        ? refusal(400, "MANIFEST_INVALID", "unknown platform")
        : next(request),
    );
    expect(lacking(report)).toEqual(["login", "index", "delete-tag"]);
    expect(report.left).toEqual([]);
  });

  test("an index that comes back changed", async () => {
    const report = await examined(async (request, next) => {
      const response = await next(request);
      if (request.method !== "GET" || !request.url.includes("/manifests/ocibundle-doctor-")) {
        return response;
      }
      const headers = new Headers(response.headers);
      headers.delete("docker-content-digest");
      headers.delete("content-length");
      return new Response(`${await response.text()}\n`, { headers });
    });
    expect(lacking(report)).toEqual(["login", "index"]);
  });

  test("the referrers API, and filters of it", async () => {
    const none = await examined(refusing(({ url }) => url.includes("/referrers/"), 404));
    expect(lacking(none)).toEqual(["login", "referrers"]);
    const page = await examined((request, next) =>
      request.url.includes("/referrers/") ? new Response("<html>") : next(request),
    );
    expect(lacking(page)).toEqual(["login", "referrers"]);
    const unfiltered = await examined((request, next) => {
      const url = new URL(request.url);
      if (!url.pathname.includes("/referrers/")) return next(request);
      url.search = "";
      return next(new Request(url));
    });
    expect(lacking(unfiltered)).toEqual(["login"]);
    expect(found(unfiltered, "referrers")).toMatchObject({ filters: false });
  });

  test("ranges, by all of the blob and by a refusal", async () => {
    const whole = await examined(async (request, next) => {
      if (!isBlob(request) || request.method !== "GET") return next(request);
      const response = await next(new Request(request.url));
      // A file's bytes would be cut to the range by the server itself.
      return new Response(await response.bytes());
    });
    expect(lacking(whole)).toEqual(["login", "range", "parallel"]);
    expect(found(whole, "range")?.reason).toBe(
      "the whole blob was returned instead of a range (200)",
    );
    expect(found(whole, "download")).toMatchObject({ result: "yes" });
    const refused = await examined(refusing(({ headers }) => headers.has("range"), 400));
    expect(lacking(refused)).toEqual(["login", "range", "parallel"]);
  });

  test("bytes that are others", async () => {
    const report = await examined(async (request, next) => {
      const response = await next(request);
      if (request.method !== "GET" || !isBlob(request)) return response;
      const bytes = await response.bytes();
      return new Response(
        bytes.map((byte) => byte ^ 1),
        { status: response.status, headers: response.headers },
      );
    });
    expect(lacking(report)).toEqual(["login", "range", "parallel", "download"]);
    expect(found(report, "download")?.reason).toBe("the received bytes differ from those sent");
  });

  test("deletes: what is left is told", async () => {
    const report = await examined(
      refusing(({ method, url }) => method === "DELETE" && !url.includes("/uploads/"), 405),
    );
    expect(lacking(report)).toEqual(["login", "delete-tag", "delete-manifest", "delete-blob"]);
    const kinds = Map.groupBy(report.left, ({ kind }) => kind);
    expect(kinds.get("tag")).toHaveLength(1);
    expect(kinds.get("manifest")).toHaveLength(6);
    // The trial's body, what was broken off of it, a part, two layers, two configs, the empty config, and the body in
    // the second repository.
    expect(kinds.get("blob")).toHaveLength(9);
    expect(doctorReport(report)).toContain("could not remove tag ocibundle-doctor-");
  });

  test("deletes with 404, although the blobs stay: they are told as left", async () => {
    const report = await examined(
      refusing(({ method, url }) => method === "DELETE" && url.includes("/blobs/sha256:"), 404),
    );
    expect(report.left.map(({ kind }) => kind)).toEqual(Array.from({ length: 9 }, () => "blob"));
  });

  test("manifests of Docker's types", async () => {
    const report = await examined(
      refusing(({ headers }) => headers.get("content-type")?.includes("docker") === true, 415),
    );
    expect(lacking(report)).toEqual(["login", "docker"]);
    expect(found(report, "docker")?.reason).toContain("415");
    expect(report.left).toEqual([]);
  });

  test("deletes of tags only, which go with their manifests", async () => {
    const report = await examined(
      refusing(({ method, url }) => method === "DELETE" && url.includes("/ocibundle-doctor-"), 400),
    );
    expect(lacking(report)).toEqual(["login", "delete-tag"]);
    expect(report.left).toEqual([]);
  });
});

const readOnly: Meddle = (request, next) =>
  request.method === "GET" || request.method === "HEAD"
    ? next(request)
    : refusal(403, "DENIED", "not here");

describe("who may only pull", () => {
  test("has reads tried on what is there, and nothing written", async () => {
    const registry = await recordingRegistry();
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const config = await putBlob(registry, name, "{}", "application/vnd.oci.empty.v1+json");
    const layer = await putBlob(registry, name, "x".repeat(100 * KiB), "application/octet-stream");
    await putManifest(registry, name, "latest", {
      schemaVersion: 2,
      mediaType,
      config,
      layers: [layer],
    });
    registry.meddle(readOnly);
    const report = await examine(registry, await job(), 10 * KiB);
    expect(found(report, "push")).toMatchObject({ result: "no", reason: "403 DENIED: not here" });
    expect(found(report, "chunks")).toMatchObject({
      result: "not tried",
      reason: "pushing is not allowed",
    });
    for (const reading of ["range", "parallel", "latency", "download"] as const) {
      expect(found(report, reading)?.result).toBe("yes");
    }
    expect(found(report, "download")?.bytes).toBe(10 * KiB);
    expect(report.left).toEqual([]);
  });

  test("and finds nothing is told so", async () => {
    const report = await examined(readOnly);
    expect(found(report, "range")).toMatchObject({
      result: "not tried",
      reason: "no blob to read",
    });
    expect(found(report, "latency")?.result).toBe("yes");
  });
});

describe("the end of it", () => {
  test("is a registry that lets nobody in", async () => {
    const registry = await recordingRegistry();
    registry.meddle((request, next) =>
      new URL(request.url).pathname === "/v2/"
        ? next(request)
        : refusal(401, "UNAUTHORIZED", "not here"),
    );
    const error = await failureOf(examine(registry, await job()));
    expect(error.code).toBe("denied");
    expect(error.message).toStartWith(`doctor ${registry.host}/${name}:latest: `);
  });

  test("is not a registry that only pings with a login", async () => {
    const report = await examined((request, next) =>
      new URL(request.url).pathname === "/v2/"
        ? refusal(401, "UNAUTHORIZED", "not here")
        : next(request),
    );
    expect(lacking(report)).toEqual(["login"]);
  });

  test("is something that is no registry", async () => {
    const registry = await recordingRegistry();
    registry.meddle(() => new Response("<html>", { status: 404 }));
    const error = await failureOf(examine(registry, await job()));
    expect(error.code).toBe("network");
    expect(error.hint).toContain("is a registry");
  });

  test("is nobody who answers", async () => {
    const by = await job();
    const error = await failureOf(
      examineRegistry(by, { reference: "127.0.0.1:1/acme/llama", size: KiB }),
    );
    expect(error.code).toBe("network");
  });

  test("is a registry that goes away meanwhile", async () => {
    const handle = await createEmbeddedRegistry({ storage: await temporaryDirectory() });
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        if (request.method === "PATCH") await server.stop(true);
        return handle(request);
      },
    });
    const error = await failureOf(
      examineRegistry(await job(), { reference: `127.0.0.1:${server.port}/${name}`, size: KiB }),
    );
    expect(error.code).toBe("network");
  });

  test("is not an answer that breaks off, while others are given", async () => {
    await using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end() },
    });
    const registry = await recordingRegistry();
    registry.meddle((request, next) =>
      new URL(request.url).searchParams.has("mount")
        ? Response.redirect(`http://127.0.0.1:${server.port}/`, 307)
        : next(request),
    );
    const report = await examine(registry, await job(), KiB);
    expect(found(report, "mount")).toMatchObject({ result: "no" });
    expect(lacking(report)).toEqual(["login", "mount"]);
  });

  test("is an interruption, after which what was put there is gone", async () => {
    const registry = await recordingRegistry();
    const stop = new AbortController();
    registry.meddle(async (request, next) => {
      const response = await next(request);
      if (request.url.includes("/referrers/")) stop.abort(new Error("enough"));
      return response;
    });
    const by = { ...(await job()), signal: stop.signal };
    const ended = await examineRegistry(by, {
      reference: `${registry.host}/${name}`,
      size: KiB,
    }).catch((error: unknown) => error);
    expect(ended).toMatchObject({ message: "enough" });
    const tags = await registry.ask(`/v2/${name}/tags/list`);
    expect(await tags.text()).not.toContain("ocibundle-doctor");
    expect(registry.done.filter((line) => line.startsWith("DELETE"))).not.toBeEmpty();
  });
});

describe("who one is", () => {
  test("is told by what the registry was given", async () => {
    const registry = await recordingRegistry();
    const wanted = `Basic ${btoa("ada:s3cret")}`;
    registry.meddle((request, next) =>
      request.headers.get("authorization") === wanted
        ? next(request)
        : new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } }),
    );
    const by = await job();
    const config = { auths: { [registry.host]: { auth: btoa("ada:s3cret") } } };
    await Bun.write(`${by.env["DOCKER_CONFIG"]}/config.json`, JSON.stringify(config));
    const report = await examine(registry, by);
    expect(lacking(report)).toEqual([]);
    expect(found(report, "login")).toMatchObject({ user: "ada" });
    expect(JSON.stringify(report)).not.toContain("s3cret");
  });
});

describe("the report", () => {
  test("says of each check what it means", async () => {
    const report = await examined((request, next) => next(request));
    const text = doctorReport(report);
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(checkNames.length + 2);
    expect(lines[0]).toBe(report.name);
    for (const line of lines.slice(1, -1)) expect(line).toMatch(/^ {2}\w.+ {2}(?:yes|no ) {2}\w/);
    expect(text).not.toContain("undefined");
    expect(text).not.toContain("NaN");
  });

  test("has the limits of a hosted registry", () => {
    const text = doctorReport({
      name: "ghcr.io/acme/llama:latest",
      host: "ghcr.io",
      size: 1024,
      checks: [],
      limits: {
        name: "Somebody's",
        largestBlob: 10 * 1024 ** 3,
        chunks: false,
        mostLayers: 500,
        notes: ["a note"],
      },
      left: [],
      milliseconds: 1200,
    });
    expect(text).toBe(
      [
        "ghcr.io/acme/llama:latest",
        "known limits of Somebody's",
        "  largest blob: 10.0 GiB",
        "  most layers: 500",
        "  a note",
        "checked in 1.2 s",
        "",
      ].join("\n"),
    );
  });
});
