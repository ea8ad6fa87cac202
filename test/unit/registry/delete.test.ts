import { describe, expect, test } from "bun:test";
import { createRegistry } from "../../../src/registry/registry.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { never } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import { refusal, scripted } from "../../support/registry/registry-client.ts";

const digest = digestOf("x");

describe("deleting a manifest", () => {
  test.each([200, 202, 204])("is done with %d", async (status) => {
    await using server = scripted(() => new Response(null, { status }));
    expect(await server.repository.deleteManifest("v1", never)).toBe("deleted");
    expect(server.seen.map(({ method }) => method)).toEqual(["DELETE"]);
  });

  test.each([
    [400, "DIGEST_INVALID"],
    [405, "UNSUPPORTED"],
    [403, "UNSUPPORTED"],
    [501, "UNSUPPORTED"],
  ])("is told to be unsupported by %d %s", async (status, code) => {
    await using server = scripted(() => refusal(status, code));
    const tag = await server.repository.deleteManifest("v1", never);
    expect(tag).toEqual({
      unsupported: expect.stringContaining(`does not delete tags (${status} ${code}`) as string,
    });
    const manifest = await server.repository.deleteManifest(digest, never);
    expect(manifest).toEqual({
      unsupported: expect.stringContaining("does not delete manifests") as string,
    });
  });

  test("is no failure where it is gone, and unsupported where a 404 leaves it there", async () => {
    await using gone = scripted(() => refusal(404, "MANIFEST_UNKNOWN"));
    expect(await gone.repository.deleteManifest("v1", never)).toBe("absent");
    await using there = scripted(({ method }) =>
      method === "DELETE"
        ? refusal(404, "NOT_FOUND")
        : new Response(null, {
            headers: {
              "content-type": "application/vnd.oci.image.manifest.v1+json",
              "docker-content-digest": digest,
              "content-length": "12",
            },
          }),
    );
    expect(await there.repository.deleteManifest("v1", never)).toHaveProperty("unsupported");
  });

  test("fails where it is denied", async () => {
    await using server = scripted(() => refusal(403, "DENIED"));
    const error = await errorOf(server.repository.deleteManifest("v1", never));
    expect(error).toMatchObject({ code: "denied" });
  });
});

describe("the catalog", () => {
  test("comes a page at a time", async () => {
    await using server = scripted(({ path }) =>
      path.includes("last=a")
        ? Response.json({ repositories: ["b"] })
        : Response.json(
            { repositories: ["a"] },
            { headers: { link: '</v2/_catalog?last=a>; rel="next"' } },
          ),
    );
    const registry = createRegistry(server.host);
    expect(await Array.fromAsync(registry.listRepositories(never))).toEqual(["a", "b"]);
  });

  test.each([
    [404, "not_found", "has no catalog"],
    [405, "not_found", "has no catalog"],
    [403, "denied", "access to the catalog denied"],
  ])("is told to be missing or denied by %d", async (status, code, words) => {
    await using server = scripted(() => new Response(null, { status }));
    const registry = createRegistry(server.host);
    const error = await errorOf(Array.fromAsync(registry.listRepositories(never)));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words);
  });
});
