import { describe, expect, test } from "bun:test";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import {
  type Client,
  describing,
  digestFor,
  imageOf,
  registry,
} from "../../../support/registry/embedded-client.ts";

const link = (response: Response): string =>
  /^<(.+)>; rel="next"$/.exec(response.headers.get("Link") ?? "")?.[1] ?? "";

async function tagged(...tags: string[]): Promise<Client> {
  const client = await registry();
  await client.blob("a/b", "{}");
  for (const tag of tags) await client.manifest("a/b", tag, imageOf("{}"));
  return client;
}

const tagsOf = async (response: Response): Promise<string[]> =>
  ((await response.json()) as { tags: string[] }).tags;

describe("the list of tags", () => {
  test("has them in lexical order, upper and lower case together", async () => {
    const { send } = await tagged("v2", "V1", "b", "A", "a", "_x", "V1.0");
    const response = await send("GET", "/v2/a/b/tags/list");
    expect(await response.json()).toEqual({
      name: "a/b",
      tags: ["_x", "A", "a", "b", "V1", "V1.0", "v2"],
    });
    expect(response.headers.get("Link")).toBeNull();
  });

  test("comes in pages, each with a link to the next", async () => {
    const all = ["A", "a", "b", "C", "d"];
    const { send } = await tagged(...all);
    const seen: string[] = [];
    let pages = 0;
    for (let path = "/v2/a/b/tags/list?n=2"; path !== ""; pages += 1) {
      const response = await send("GET", path);
      seen.push(...(await tagsOf(response)));
      path = link(response);
    }
    expect([pages, seen]).toEqual([3, all]);
  });

  test("begins after a tag, whether or not there is such a one", async () => {
    const { send } = await tagged("a", "c", "e");
    expect(await tagsOf(await send("GET", "/v2/a/b/tags/list?last=b&n=1"))).toEqual(["c"]);
    expect(await tagsOf(await send("GET", "/v2/a/b/tags/list?last=e"))).toEqual([]);
    expect(await tagsOf(await send("GET", "/v2/a/b/tags/list?n=0"))).toEqual([]);
  });

  test.each(["-1", "x", "1.5"])("n=%s is refused", async (n) => {
    const { send, codes } = await tagged("a");
    const response = await send("GET", `/v2/a/b/tags/list?n=${n}`);
    expect([response.status, await codes(response)]).toEqual([400, ["PAGINATION_NUMBER_INVALID"]]);
  });

  test("of a repository that does not exist is not found, of an empty one empty", async () => {
    const { send, codes } = await tagged();
    expect(await tagsOf(await send("GET", "/v2/a/b/tags/list"))).toEqual([]);
    const response = await send("GET", "/v2/a/tags/list");
    expect([response.status, await codes(response)]).toEqual([404, ["NAME_UNKNOWN"]]);
  });
});

describe("the catalog", () => {
  test("has the repositories that something was pushed to", async () => {
    const client = await registry();
    for (const name of ["b", "a/c/d", "a"]) await client.blob(name, "{}");
    await client.send("POST", "/v2/begun/blobs/uploads/");
    const response = await client.send("GET", "/v2/_catalog");
    expect(await response.json()).toEqual({ repositories: ["a", "a/c/d", "b"] });
    const page = await client.send("GET", "/v2/_catalog?n=2");
    expect(link(page)).toBe("/v2/_catalog?n=2&last=a%2Fc%2Fd");
  });
});

async function withConfig(): Promise<Client> {
  const client = await registry();
  await client.blob("a", "{}");
  return client;
}

describe("the referrers of a manifest", () => {
  const subject = imageOf("{}");
  const subjectBytes = JSON.stringify(subject);
  const digest = digestFor(subjectBytes);
  const referring = (artifactType: string | undefined, note: string) => ({
    ...imageOf("{}"),
    ...(artifactType === undefined ? {} : { artifactType }),
    subject: describing(subjectBytes, mediaTypes.ociManifest),
    annotations: { note },
  });
  const list = async (client: Client, query = "") => {
    const response = await client.send("GET", `/v2/a/referrers/${digest}${query}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toBe(mediaTypes.ociIndex);
    const index = (await response.json()) as { manifests: { digest: string }[] };
    return { response, index };
  };

  test("are an empty index where there are none", async () => {
    const { index } = await list(await registry());
    expect<unknown>(index).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
    });
  });

  test("are described with their type and annotations, before the subject is there too", async () => {
    const client = await withConfig();
    const manifest = referring("application/vnd.example.sbom", "one");
    const put = await client.manifest("a", undefined, manifest);
    expect(put.headers.get("OCI-Subject")).toBe(digest);
    const { index } = await list(client);
    expect<unknown>(index.manifests).toEqual([
      {
        ...describing(JSON.stringify(manifest), mediaTypes.ociManifest),
        artifactType: "application/vnd.example.sbom",
        annotations: { note: "one" },
      },
    ]);
  });

  test("without an artifact type have their config's", async () => {
    const client = await withConfig();
    await client.manifest("a", "x", referring(undefined, "one"));
    const { index } = await list(client);
    expect(index.manifests[0]).toHaveProperty("artifactType", mediaTypes.ociConfig);
  });

  test("are filtered by type, and the answer says so", async () => {
    const client = await withConfig();
    const sbom = referring("application/vnd.example.sbom", "one");
    await client.manifest("a", undefined, sbom);
    await client.manifest("a", undefined, referring("application/vnd.example.sig", "two"));
    const all = await list(client);
    expect(all.index.manifests).toHaveLength(2);
    expect(all.response.headers.get("OCI-Filters-Applied")).toBeNull();
    const some = await list(client, "?artifactType=application%2Fvnd.example.sbom");
    expect(some.response.headers.get("OCI-Filters-Applied")).toBe("artifactType");
    expect(some.index.manifests.map((found) => found.digest)).toEqual([
      digestFor(JSON.stringify(sbom)),
    ]);
  });

  test("are gone when they are deleted", async () => {
    const client = await withConfig();
    const manifest = referring("application/vnd.example.sbom", "one");
    await client.manifest("a", "x", manifest);
    await client.send("DELETE", `/v2/a/manifests/${digestFor(JSON.stringify(manifest))}`);
    expect((await list(client)).index.manifests).toEqual([]);
  });
});
