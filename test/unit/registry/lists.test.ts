import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/oci/digest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { never } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import { blobOf, refusal, scripted } from "../../support/registry/registry-client.ts";

const page = (tags: string[] | null, link?: string): Response =>
  Response.json({ name: "acme/llama", tags }, { headers: link === undefined ? {} : { link } });

describe("tags", () => {
  test("come a page at a time, relative links followed", async () => {
    await using server = scripted(({ path }) =>
      path.endsWith("list")
        ? page(["a", "b"], '</v2/acme/llama/tags/list?last=b&n=2>; rel="next"')
        : path.includes("last=b")
          ? page(["c"], "<?last=c&n=2>; rel=next")
          : page(null),
    );
    expect(await Array.fromAsync(server.repository.listTags(never))).toEqual(["a", "b", "c"]);
    expect(server.seen).toHaveLength(3);
  });

  test("are not fetched beyond what is wanted", async () => {
    await using server = scripted(() => page(["a", "b"], '<?last=b>; rel="next"'));
    for await (const tag of server.repository.listTags(never)) if (tag === "a") break;
    expect(server.seen).toHaveLength(1);
  });

  test("that go on for ever, or elsewhere, are an error", async () => {
    await using server = scripted(() => page(["a"], '</v2/acme/llama/tags/list>; rel="next"'));
    const endless = Array.fromAsync(server.repository.listTags(never));
    expect((await errorOf(endless)).message).toContain("does not end");
    await using other = scripted(() => page(["a"], '<http://127.0.0.2/x?s=1>; rel="next"'));
    const elsewhere = Array.fromAsync(other.repository.listTags(never));
    expect((await errorOf(elsewhere)).message).toContain("continues on another host, 127.0.0.2");
  });

  test.each([
    `</v2/acme/llama/tags/list?last=b>; rel='next'`,
    `/v2/acme/llama/tags/list?last=b; rel="next"`,
    `</v2/acme/llama/tags/list?last=b>;REL=next;results="true"`,
  ])("go on after %p", async (link) => {
    await using server = scripted(({ path }) =>
      path.endsWith("list") ? page(["a", "b"], link) : page(["c"]),
    );
    expect(await Array.fromAsync(server.repository.listTags(never))).toEqual(["a", "b", "c"]);
  });

  test("go on at the registry where a link has its host with another scheme or port", async () => {
    await using server = scripted(({ path }) =>
      path.endsWith("list")
        ? page(["a"], '<https://127.0.0.1:5000/v2/acme/llama/tags/list?last=a>; rel="next"')
        : page(["b"]),
    );
    expect(await Array.fromAsync(server.repository.listTags(never))).toEqual(["a", "b"]);
  });

  test.each(['</v2/x>; rel="next', "next: /v2/x", '<http://[x>; rel="next"'])(
    "are not taken to end with %p",
    async (link) => {
      await using server = scripted(() => page(["a"], link));
      const tags = Array.fromAsync(server.repository.listTags(never));
      expect((await errorOf(tags)).message).toContain("that is not valid");
    },
  );

  test("of a repository that is not there are an error", async () => {
    await using server = scripted(() => refusal(404, "NAME_UNKNOWN"));
    const tags = Array.fromAsync(server.repository.listTags(never));
    expect(await errorOf(tags)).toMatchObject({ code: "not_found" });
  });

  test("that are none are an error, and not no tags", async () => {
    for (const answer of [{ tags: [1] }, { tags: {} }, [], ["v1"], null, "v1"]) {
      await using server = scripted(() => Response.json(answer));
      const tags = Array.fromAsync(server.repository.listTags(never));
      expect(await errorOf(tags)).toMatchObject({ code: "network" });
    }
    await using server = scripted(() => Response.json([]));
    const repositories = Array.fromAsync(server.repository.registry.listRepositories(never));
    expect(await errorOf(repositories)).toMatchObject({ code: "network" });
  });
});

const entry = (text: string, artifactType: string) => ({ ...blobOf(text), artifactType });
const index = (manifests: object[], headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }), {
    headers: { "content-type": mediaTypes.ociIndex, ...headers },
  });

describe("referrers", () => {
  const digest = digestOf("subject");
  test("come from the API, a page at a time, and are filtered here too", async () => {
    await using server = scripted(({ path }) =>
      path.includes("last=")
        ? index([entry("c", "x/y")])
        : index([entry("a", "x/y"), entry("b", "z/z")], { link: '<?last=1>; rel="next"' }),
    );
    const found = await server.repository.listReferrers(digest, "x/y", never);
    expect(found).toEqual([entry("a", "x/y"), entry("c", "x/y")]);
    expect(server.seen[0]?.path).toBe(`/v2/acme/llama/referrers/${digest}?artifactType=x%2Fy`);
  });

  test.each([
    ["404", () => refusal(404, "UNSUPPORTED")],
    ["400", () => refusal(400, "UNSUPPORTED")],
    [
      "a page of its own",
      () => new Response("<html>", { headers: { "content-type": "text/html" } }),
    ],
  ])("come from their tag where the API answers with %s", async (_, answer) => {
    await using server = scripted(({ path }) =>
      path.includes("/referrers/") ? answer() : index([entry("a", "x/y")]),
    );
    expect(await server.repository.listReferrers(digest, undefined, never)).toEqual([
      entry("a", "x/y"),
    ]);
    expect(server.seen.at(-1)?.path).toBe(`/v2/acme/llama/manifests/${digest.replace(":", "-")}`);
  });

  const unreadable: readonly [string, unknown, string][] = [
    ["is null", null, "manifests.1: must be an object"],
    [
      "has a digest of another algorithm",
      { ...blobOf("x"), digest: `blake3:${"a".repeat(64)}` },
      "manifests.1.digest: must be a digest: sha256: and 64 lower-case hex digits",
    ],
    ["has no size", { mediaType: "a/b", digest: digestOf("x") }, "manifests.1.size: is missing"],
  ];
  test.each(unreadable)("are told beside an entry that %s, and unknown without", async (...row) => {
    const [, other, why] = row;
    const list = [entry("a", "x/y"), other] as object[];
    for (const byTag of [false, true]) {
      await using server = scripted(({ path }) =>
        byTag && path.includes("/referrers/") ? refusal(404, "UNKNOWN") : index(list),
      );
      const passed: string[] = [];
      const tell = (message: string): void => void passed.push(message);
      expect(await server.repository.listReferrers(digest, undefined, never, tell)).toEqual([
        entry("a", "x/y"),
      ]);
      expect(passed).toEqual([
        expect.stringMatching(new RegExp(`an entry cannot be read: ${why}$`)),
      ]);
      const strict = server.repository.listReferrers(digest, undefined, never);
      expect(await errorOf(strict)).toMatchObject({
        code: "network",
        message: expect.stringContaining(why),
      });
    }
  });

  test("that can't be read are told at once, however many there are", async () => {
    const strange = Array.from({ length: 900 }, () => null);
    await using server = scripted(() => index(strange as unknown as object[]));
    const passed: string[] = [];
    const tell = (message: string): void => void passed.push(message);
    expect(await server.repository.listReferrers(digest, undefined, never, tell)).toEqual([]);
    for (const message of passed)
      expect(message).toMatch(/: an entry cannot be read: .*, and 899 more$/);
    expect(passed.length).toBeGreaterThan(0);
    expect(passed.length).toBeLessThan(4);
  });

  test("are unknown where a list is no index", async () => {
    await using server = scripted(() =>
      Response.json({ schemaVersion: "2", manifests: [entry("a", "x/y")] }),
    );
    const list = server.repository.listReferrers(digest, undefined, never);
    expect((await errorOf(list)).message).toContain("schemaVersion: must be a number");
  });

  test("come from their tag where the API knows of none", async () => {
    await using server = scripted(({ path }) =>
      index(path.includes("/referrers/") ? [] : [entry("a", "x/y")]),
    );
    expect(await server.repository.listReferrers(digest, undefined, never)).toHaveLength(1);
  });

  test("of a sha512 are under a tag with 64 digits, or with as many as fit", async () => {
    const long = `sha512:${"0123456789abcdef".repeat(8)}` as const;
    for (const tag of [`sha512-${long.slice(7, 71)}`, `sha512-${long.slice(7)}`.slice(0, 128)]) {
      await using server = scripted(({ path }) =>
        path.endsWith(`/manifests/${tag}`) ? index([entry("a", "x/y")]) : refusal(404, "UNKNOWN"),
      );
      expect(await server.repository.listReferrers(long, undefined, never)).toHaveLength(1);
    }
  });

  test.each([401, 403, 500])("are unknown where the API answers %d", async (status) => {
    await using server = scripted(({ path }) =>
      path.includes("/referrers/") ? refusal(status, "DENIED") : index([]),
    );
    const list = server.repository.listReferrers(digest, undefined, never);
    expect((await errorOf(list)).message).toContain(`list of referrers of ${digest}`);
  });

  test.each([403, 405, 500])("are unknown where their tag answers %d", async (status) => {
    await using server = scripted(({ path }) =>
      path.includes("/referrers/") ? refusal(404, "UNKNOWN") : refusal(status, "DENIED"),
    );
    await errorOf(server.repository.listReferrers(digest, undefined, never));
  });

  test("are unknown where a later page is none", async () => {
    await using server = scripted(({ path }) =>
      path.includes("last=")
        ? refusal(404, "UNKNOWN")
        : index([entry("a", "x/y")], { link: '<?last=1>; rel="next"' }),
    );
    const list = server.repository.listReferrers(digest, undefined, never);
    expect((await errorOf(list)).message).toContain("the list of referrers is not valid");
  });

  test("are none where the tag is also used by an image", async () => {
    const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest };
    await using server = scripted(({ path }) =>
      path.includes("/referrers/")
        ? refusal(404, "UNKNOWN")
        : new Response(JSON.stringify(image), {
            headers: { "content-type": mediaTypes.ociManifest },
          }),
    );
    expect(await server.repository.listReferrers(digest, undefined, never)).toEqual([]);
  });

  test("are too many where a list has no end", async () => {
    const many = Array.from({ length: 1500 }, (_, at) => entry(String(at), "x/y"));
    await using server = scripted((_, count) =>
      index(many, { link: `<?last=${count}>; rel="next"` }),
    );
    const list = server.repository.listReferrers(digest, undefined, never);
    expect(await errorOf(list)).toMatchObject({
      message: expect.stringContaining("has more than 2000 entries"),
      hint: "delete unneeded referrers",
    });
    expect(server.seen).toHaveLength(2);
  });

  test("are none where there is neither", async () => {
    await using server = scripted(() => refusal(404, "MANIFEST_UNKNOWN"));
    expect(await server.repository.listReferrers(digest, undefined, never)).toEqual([]);
  });
});
