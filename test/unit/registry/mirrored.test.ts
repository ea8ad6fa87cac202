import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import type { HttpEvent } from "../../../src/http/message/message.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import {
  heldBytes,
  mirroredRepository,
  mirrorHealth,
  restAfterFailure,
} from "../../../src/registry/mirrored.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { createRegistry, triesOfRun } from "../../../src/registry/registry.ts";
import type { Repository } from "../../../src/registry/types.ts";
import {
  never,
  type ScriptedServer,
  serve,
  serveBytes,
  type SeenRequest,
} from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  manifestOf,
  readAll,
  refusal,
  scripted,
} from "../../support/registry/registry-client.ts";

type Answer = (request: SeenRequest, count: number) => Response;

const text = "the weights of a very small model";
const blob = blobOf(text);
const manifest = manifestOf({ config: blob, layers: [blob] });

/** A registry of one blob and one manifest under every tag. */
const full: Answer = ({ path, method, headers }) => {
  if (path.includes("/manifests/")) {
    return new Response(method === "HEAD" ? null : new Uint8Array(manifest.bytes), {
      headers: {
        "content-type": manifest.mediaType,
        "content-length": String(manifest.bytes.byteLength),
        "docker-content-digest": manifest.digest,
      },
    });
  }
  if (!path.includes(blob.digest)) return refusal(404, "BLOB_UNKNOWN");
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
  if (start === undefined || end === undefined) return new Response(text);
  return new Response(text.slice(Number(start), Number(end) + 1), {
    status: 206,
    headers: { "content-range": `bytes ${start}-${end}/${text.length}` },
  });
};

const empty: Answer = () => refusal(404, "NAME_UNKNOWN");
const failing: Answer = () => refusal(503, "UNAVAILABLE", "on fire");

interface Setting extends AsyncDisposable {
  repository: Repository;
  origin: ScriptedServer;
  mirrors: ScriptedServer[];
  events: HttpEvent[];
  warnings(): string[];
  clock: { now: number };
}

/** A repository with mirrors that answer as scripted. */
function mirrored(originAnswers: Answer, ...answers: (Answer | ScriptedServer)[]): Setting {
  const origin = scripted(originAnswers);
  const mirrors = answers.map((answer) => (typeof answer === "function" ? serve(answer) : answer));
  const events: HttpEvent[] = [];
  const emit = (event: HttpEvent): void => void events.push(event);
  const clock = { now: 0 };
  const repository = mirroredRepository(
    origin.repository,
    mirrors.map(({ host }, index) => ({
      name: `mirror-${index}`,
      repository: createRegistry(host, { budget: triesOfRun(0), ns: "docker.io" }).repository(
        `hub/acme/llama`,
      ),
      health: mirrorHealth(`mirror-${index}`, emit, () => clock.now),
      tags: true,
    })),
    emit,
  );
  return {
    repository,
    origin,
    mirrors,
    events,
    warnings: () => events.flatMap((event) => (event.type === "warning" ? [event.message] : [])),
    clock,
    async [Symbol.asyncDispose]() {
      for (const server of [origin, ...mirrors]) await server[Symbol.asyncDispose]();
    },
  };
}

const read = async ({ repository }: Setting, descriptor: Descriptor = blob): Promise<string> =>
  readAll((await repository.getBlob(descriptor, undefined, never)).body);

describe("a repository with mirrors is read", () => {
  test("from the first that has it, and the registry itself is not asked", async () => {
    await using setting = mirrored(failing, full, failing);
    const { repository, origin, mirrors } = setting;
    expect(await repository.getManifest("v1", never)).toEqual(manifest);
    expect(await repository.headManifest("v1", never)).toMatchObject({ digest: manifest.digest });
    expect(await repository.headBlob(blob.digest, never)).toBe(text.length);
    expect(await read(setting)).toBe(text);
    expect(origin.seen).toHaveLength(0);
    expect(mirrors.map(({ seen }) => seen.length)).toEqual([4, 0]);
    expect(setting.warnings()).toEqual([]);
  });

  test("there under a prefix, and with the name of the registry that is meant", async () => {
    await using setting = mirrored(empty, full);
    await setting.repository.getManifest("v1", never);
    await read(setting);
    expect(setting.mirrors[0]?.seen.map(({ path }) => path)).toEqual([
      "/v2/hub/acme/llama/manifests/v1?ns=docker.io",
      `/v2/hub/acme/llama/blobs/${blob.digest}?ns=docker.io`,
    ]);
  });

  test("from the next one where something is missing, without a word", async () => {
    await using setting = mirrored(full, empty, full);
    expect(await setting.repository.getManifest("v1", never)).toEqual(manifest);
    expect(await setting.repository.headBlob(blob.digest, never)).toBe(text.length);
    expect(await read(setting)).toBe(text);
    // The first is asked once whether it hides what needs a login.
    expect(setting.mirrors.map(({ seen }) => seen.length)).toEqual([4, 3]);
    expect(setting.origin.seen).toHaveLength(0);
    expect(setting.warnings()).toEqual([]);
  });

  test("from the registry itself where all lack it, and its word counts", async () => {
    await using setting = mirrored(empty, empty);
    expect(await setting.repository.headManifest("v1", never)).toBeUndefined();
    expect(await errorOf(setting.repository.getManifest("v1", never))).toMatchObject({
      code: "not_found",
    });
    const asked = setting.origin.seen.filter(({ path }) => path !== "/v2/");
    expect(asked.every(({ path }) => path.startsWith("/v2/acme/llama/"))).toBe(true);
  });

  test("in parts, too", async () => {
    await using setting = mirrored(failing, full);
    const answer = await setting.repository.getBlob(blob, { start: 4, end: 11 }, never);
    expect(answer.range).toEqual({ start: 4, end: 11 });
    expect(await readAll(answer.body)).toBe("weights");
  });
});

describe("a mirror that fails", () => {
  test.each([
    ["an error", failing],
    ["a refusal", () => refusal(401, "UNAUTHORIZED")],
    ["a page", () => new Response("<html>")],
  ] as const)("by %s is told of once, and left alone for a while", async (_, answer) => {
    await using setting = mirrored(full, answer);
    const { repository, clock, mirrors } = setting;
    for (let time = 0; time < 3; time += 1) {
      expect(await repository.getManifest("v1", never)).toEqual(manifest);
    }
    expect(mirrors[0]?.seen).toHaveLength(1);
    expect(setting.warnings()).toHaveLength(1);
    expect(setting.warnings()[0]).toMatch(/^mirror "mirror-0": .*; continuing without it$/);
    clock.now = restAfterFailure;
    expect(await repository.getManifest("v1", never)).toEqual(manifest);
    expect(mirrors[0]?.seen).toHaveLength(2);
    expect(setting.warnings()).toHaveLength(1);
  });

  test("is not tried again and again before the next one is asked", async () => {
    await using setting = mirrored(full, failing);
    await read(setting);
    expect(setting.mirrors[0]?.seen).toHaveLength(1);
  });

  test("in the middle of a blob is left by whoever asks for the rest", async () => {
    const large = "x".repeat(heldBytes + 1);
    const descriptor = blobOf(large);
    const whole: Answer = ({ headers }) => {
      const start = Number(/^bytes=(\d+)-/.exec(headers.get("range") ?? "")?.[1] ?? 0);
      return new Response(large.slice(start), {
        status: start === 0 ? 200 : 206,
        headers:
          start === 0
            ? {}
            : { "content-range": `bytes ${start}-${large.length - 1}/${large.length}` },
      });
    };
    let connections = 0;
    const breaking = serveBytes((socket) => {
      connections += 1;
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\nxxxx`);
    });
    await using setting = mirrored(whole, breaking);
    const { repository } = setting;
    const answer = await repository.getBlob(descriptor, undefined, never);
    expect(await errorOf(readAll(answer.body))).toBeInstanceOf(OcibundleError);
    const rest = await repository.getBlob(descriptor, { start: 4, end: large.length }, never);
    expect((await readAll(rest.body)).length).toBe(large.length - 4);
    expect(connections).toBe(1);
    expect(setting.warnings()).toHaveLength(1);
  });

  test("only by having no ranges is asked for all of it", async () => {
    await using setting = mirrored(failing, (request, count) =>
      request.headers.has("range") ? refusal(416, "RANGE_INVALID") : full(request, count),
    );
    const asked = setting.repository.getBlob(blob, { start: 1, end: 2 }, never);
    expect(await errorOf(asked)).toBeInstanceOf(OcibundleError);
    expect(await read(setting)).toBe(text);
    expect(setting.origin.seen).toHaveLength(0);
  });

  test("because the run was interrupted is no reason to go elsewhere", async () => {
    const stop = new AbortController();
    await using setting = mirrored(full, () => {
      stop.abort(new Error("enough"));
      return refusal(503, "UNAVAILABLE");
    });
    const failure = await errorOf(setting.repository.getManifest("v1", stop.signal));
    expect(failure.message).toBe("enough");
    expect(setting.origin.seen).toHaveLength(0);
    expect(setting.warnings()).toEqual([]);
  });
});

describe("a mirror that gives wrong bytes", () => {
  const other = text.replace("small", "great");

  test("of a manifest or a small blob is found out before anybody has them", async () => {
    await using setting = mirrored(full, (request) =>
      request.path.includes("/manifests/")
        ? new Response(new Uint8Array(manifestOf({ other: true }).bytes))
        : new Response(other),
    );
    expect(await setting.repository.getManifest(manifest.digest, never)).toEqual(manifest);
    expect(await read(setting)).toBe(text);
    // What lied is not asked again, however much later.
    setting.clock.now = 10 * restAfterFailure;
    expect(await read(setting)).toBe(text);
    expect(setting.mirrors[0]?.seen).toHaveLength(1);
    expect(setting.warnings()).toHaveLength(1);
  });

  test.each(["", text.slice(1), `${text}!`])("as %j is found out by its size", async (wrong) => {
    await using setting = mirrored(full, () => new Response(wrong));
    expect(await read(setting)).toBe(text);
    expect(setting.warnings()).toHaveLength(1);
  });

  test("of a part is found out by who reads it, and not asked again", async () => {
    await using setting = mirrored(full, (request, count) => {
      const answer = full(request, count);
      return new Response("#".repeat(7), { status: 206, headers: answer.headers });
    });
    const { repository } = setting;
    const range = { start: 4, end: 11 };
    const part = async () => readAll((await repository.getBlob(blob, range, never)).body);
    expect(await part()).toBe("#######");
    expect(repository.reportCorrupt?.(blob.digest)).toBe(true);
    expect(await part()).toBe("weights");
    // The registry itself gave these: another try would give the same.
    expect(repository.reportCorrupt?.(blob.digest)).toBe(false);
    expect(setting.warnings()).toEqual([
      `mirror "mirror-0": the received content does not match digest ${blob.digest}; continuing without it`,
    ]);
  });

  test("is nothing to what was had from elsewhere", async () => {
    await using setting = mirrored(full, empty);
    await readAll((await setting.repository.getBlob(blob, { start: 0, end: 3 }, never)).body);
    expect(setting.repository.reportCorrupt?.(blob.digest)).toBe(false);
    expect(setting.repository.reportCorrupt?.(digestOf("never asked for"))).toBe(false);
  });
});

describe("never by a mirror", () => {
  test("is anything written or listed", async () => {
    await using setting = mirrored(({ method, path }) => {
      if (path.includes("/tags/")) return Response.json({ tags: ["v1"] });
      if (path.includes("/referrers/")) {
        return Response.json({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: [],
        });
      }
      if (method === "POST")
        return new Response(null, { status: 202, headers: { location: "/u" } });
      return new Response(null, { status: method === "GET" ? 404 : 201 });
    }, full);
    const { repository, mirrors } = setting;
    await repository.startUpload({}, never);
    await repository.putManifest("v1", manifest, never);
    expect(await Array.fromAsync(repository.listTags(never))).toEqual(["v1"]);
    expect(await repository.listReferrers(manifest.digest, undefined, never)).toEqual([]);
    expect(mirrors[0]?.seen).toHaveLength(0);
  });

  test("is a tag resolved that it may not resolve", async () => {
    await using origin = scripted(full);
    await using mirror = serve(full);
    const repository = mirroredRepository(
      origin.repository,
      [
        {
          name: "digests",
          repository: createRegistry(mirror.host).repository("acme/llama"),
          health: mirrorHealth("digests", () => undefined),
          tags: false,
        },
      ],
      () => undefined,
    );
    await repository.headManifest("v1", never);
    await repository.getManifest("v1", never);
    expect(mirror.seen).toHaveLength(0);
    await repository.getManifest(manifest.digest, never);
    expect(mirror.seen).toHaveLength(1);
  });
});
