import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import { refusalOf } from "../../../src/registry/refusal.ts";
import { never } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  bodyOf,
  openUpload,
  refusal,
  repositoryAt,
  scripted,
} from "../../support/registry/registry-client.ts";

const accepted = (headers: Record<string, string>, status = 202): Response =>
  new Response("", { status, headers });
const { digest } = blobOf("0123456789");

describe("opening an upload", () => {
  test("says that it sends nothing", async () => {
    await using server = scripted(() => accepted({ location: "/u/1" }));
    await openUpload(server.repository);
    expect(server.seen[0]).toMatchObject({ method: "POST", path: "/v2/acme/llama/blobs/uploads/" });
    expect(server.seen[0]?.headers.get("content-length")).toBe("0");
  });

  test("resolves a relative location and keeps its query", async () => {
    await using server = scripted(() => accepted({ location: "../uploads/1?_state=a%2Bb=&x" }));
    const session = await openUpload(server.repository);
    expect(session.location).toBe(`${server.origin}/v2/acme/llama/blobs/uploads/1?_state=a%2Bb=&x`);
  });

  test("reads the floor of a chunk", async () => {
    await using server = scripted(() =>
      accepted({ location: "/u/1", "oci-chunk-min-length": "5242880" }),
    );
    expect((await openUpload(server.repository)).minimumChunk).toBe(5_242_880);
  });

  test.each([
    ["no location", {}],
    ["a location that is none", { location: "http://[x" }],
    ["a location in a file", { location: "file:///etc/passwd" }],
  ])("is an error with %s", async (_, headers) => {
    await using server = scripted(() => accepted(headers));
    expect(await errorOf(openUpload(server.repository))).toMatchObject({ code: "network" });
  });

  test("is an error with any other success, as of a server that says yes to all", async () => {
    await using server = scripted(() => new Response(""));
    const failure = await errorOf(openUpload(server.repository));
    expect(failure).toMatchObject({ code: "network" });
    expect((failure as OcibundleError).hint).toContain("is a registry");
  });
});

describe("mounting", () => {
  const mount = { digest, from: "acme/other" };

  test("asks with the digest and where from", async () => {
    await using server = scripted(() => new Response("", { status: 201 }));
    expect(await server.repository.startUpload({ mount }, never)).toEqual({ mounted: true });
    expect(server.seen[0]?.path).toBe(
      `/v2/acme/llama/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=acme%2Fother`,
    );
  });

  test("that is not done opens the session it was answered with", async () => {
    await using server = scripted(() => accepted({ location: "/u/1" }));
    const started = await server.repository.startUpload({ mount }, never);
    expect(started.mounted).toBe(false);
    expect(server.seen).toHaveLength(1);
  });

  test.each([400, 401, 403, 404, 405, 416])("refused with %d goes on without", async (status) => {
    await using server = scripted(({ path }) =>
      path.includes("mount=") ? refusal(status, "DENIED") : accepted({ location: "/u/1" }),
    );
    expect((await server.repository.startUpload({ mount }, never)).mounted).toBe(false);
  });

  test("that is interrupted is interrupted", async () => {
    await using server = scripted(() => refusal(400, "UNSUPPORTED"));
    const reason = new OcibundleError("interrupted", "Interrupted");
    const started = server.repository.startUpload({ mount }, AbortSignal.abort(reason));
    expect(await errorOf(started)).toBe(reason);
  });
});

describe("sending", () => {
  test("a chunk says which bytes it is, without a unit and a total", async () => {
    await using server = scripted(({ method }) =>
      method === "POST" ? accepted({ location: "/u/1" }) : accepted({ range: "0-14" }),
    );
    const session = await openUpload(server.repository);
    expect(await session.patchChunk(10, bodyOf("01234"), never)).toBe(15);
    const sent = server.seen[1];
    expect(sent?.headers.get("content-range")).toBe("10-14");
    expect(sent?.headers.get("content-length")).toBe("5");
    expect(sent?.headers.get("content-type")).toBe("application/octet-stream");
  });

  test("all of it says nothing of a range", async () => {
    await using server = scripted(({ method }) =>
      method === "POST" ? accepted({ location: "/u/1" }) : accepted({}),
    );
    const session = await openUpload(server.repository);
    expect(await session.patchAll(bodyOf("01234"), never)).toBe(5);
    expect(server.seen[1]?.headers.get("content-range")).toBeNull();
  });

  test("always goes to the newest location, and the digest is put behind its query", async () => {
    await using server = scripted((_, count) => accepted({ location: `/u/1?_state=${count}` }));
    const session = await openUpload(server.repository);
    await session.patchChunk(0, bodyOf("01234"), never);
    await session.patchChunk(5, bodyOf("56789"), never);
    await session.finish(digest, undefined, never);
    expect(server.seen.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual([
      "PATCH /u/1?_state=1",
      "PATCH /u/1?_state=2",
      `PUT /u/1?_state=3&digest=${encodeURIComponent(digest)}`,
    ]);
    expect(server.seen[3]?.headers.get("content-length")).toBe("0");
  });

  test("takes the registry's word for what it has, in either form, and 201 for 202", async () => {
    const ranges = ["0-2", "bytes=0-6", "nonsense"];
    await using server = scripted(({ method }, count) =>
      method === "POST"
        ? accepted({ location: "/u/1" })
        : accepted({ range: ranges[count - 2] ?? "" }, 201),
    );
    const session = await openUpload(server.repository);
    expect(await session.patchChunk(0, bodyOf("01234"), never)).toBe(3);
    expect(await session.patchChunk(3, bodyOf("01234"), never)).toBe(7);
    expect(await session.patchChunk(7, bodyOf("01234"), never)).toBe(12);
  });

  test.each([404, 413, 416, 500, 503])(
    "refused with %d is for the caller to judge",
    async (status) => {
      await using server = scripted(({ method }) =>
        method === "POST" ? accepted({ location: "/u/1" }) : refusal(status, "BLOB_UPLOAD_INVALID"),
      );
      const session = await openUpload(server.repository);
      const failure = await errorOf(session.patchChunk(0, bodyOf("01234"), never));
      expect(refusalOf(failure)).toMatchObject({ status, codes: ["BLOB_UPLOAD_INVALID"] });
      expect(server.seen).toHaveLength(2);
    },
  );

  test("waits where the registry says for how long", async () => {
    await using server = scripted(({ method }, count) =>
      method === "POST"
        ? accepted({ location: "/u/1" })
        : count === 2
          ? new Response("", { status: 429, headers: { "retry-after": "1" } })
          : accepted({}),
    );
    const session = await openUpload(server.repository);
    expect(await session.patchChunk(0, bodyOf("01234"), never)).toBe(5);
    expect(server.seen).toHaveLength(3);
  });

  test("other bytes is an integrity error, whoever finds it out", async () => {
    await using server = scripted(({ method }, count) =>
      method === "POST"
        ? accepted({ location: "/u/1" })
        : method === "HEAD"
          ? refusal(404, "BLOB_UNKNOWN")
          : count === 2
            ? refusal(400, "DIGEST_INVALID")
            : accepted({ "docker-content-digest": blobOf("other").digest }, 201),
    );
    const session = await openUpload(server.repository);
    for (let i = 0; i < 2; i++) {
      const failure = await errorOf(session.finish(digest, bodyOf("x"), never));
      expect(failure).toMatchObject({ code: "integrity" });
      expect(failure.message).toContain(digest);
    }
  });
});

test("a blob that is there was stored, whatever digest the answer names", async () => {
  await using server = scripted(({ method }) =>
    method === "POST"
      ? accepted({ location: "/u/1" })
      : method === "HEAD"
        ? new Response("x")
        : accepted({ "docker-content-digest": blobOf("other").digest }, 201),
  );
  const session = await openUpload(server.repository);
  await session.finish(blobOf("x").digest, bodyOf("x"), never);
});

describe("asking what is there", () => {
  test("tells none from one, as far as it is known", async () => {
    await using server = scripted(({ method }) =>
      method === "POST" ? accepted({ location: "/u/1" }) : accepted({ range: "0-0" }, 204),
    );
    const session = await openUpload(server.repository);
    expect(await session.offset(never)).toBe(0);
    await session.patchChunk(0, bodyOf("x"), never);
    expect(await session.offset(never)).toBe(1);
  });

  test("tells that the session is gone", async () => {
    await using server = scripted(({ method }) =>
      method === "POST" ? accepted({ location: "/u/1" }) : refusal(404, "BLOB_UPLOAD_UNKNOWN"),
    );
    expect(await (await openUpload(server.repository)).offset(never)).toBeUndefined();
  });
});

describe("a session", () => {
  test("at another origin gets no authorisation", async () => {
    await using other = scripted(() => accepted({}));
    await using server = scripted(({ headers }) =>
      headers.get("authorization") === null
        ? new Response("", { status: 401, headers: { "www-authenticate": "Basic" } })
        : accepted({ location: `${other.origin}/u/1?token=abc` }),
    );
    const repository = repositoryAt(server.host, {
      credentials: () => Promise.resolve({ kind: "password", username: "ada", password: "pw" }),
    });
    const session = await openUpload(repository);
    await session.patchChunk(0, bodyOf("x"), never);
    expect(other.seen[0]?.headers.get("authorization")).toBeNull();
    expect(other.seen[0]?.path).toBe("/u/1?token=abc");
  });

  test("is given up in silence, whatever the registry says", async () => {
    await using server = scripted(({ method }) =>
      method === "POST" ? accepted({ location: "/u/1" }) : new Response("", { status: 500 }),
    );
    const session = await openUpload(server.repository);
    await session.cancel();
    expect(server.seen.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
  });
});
