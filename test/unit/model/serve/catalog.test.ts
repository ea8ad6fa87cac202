import { describe, expect, test } from "bun:test";
import { type CatalogOptions, parseCatalog } from "../../../../src/model/serve/catalog.ts";
import { parseListen, readToken } from "../../../../src/model/serve/serve-flags.ts";
import { jobIn } from "../../../support/model/job.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const options = (given: Partial<CatalogOptions>): CatalogOptions => ({
  map: [],
  configured: {},
  registry: undefined,
  tag: undefined,
  ...given,
});

const find = (id: string, given: Partial<CatalogOptions>) => parseCatalog(options(given)).find(id);

describe("what an id is", () => {
  test("below a registry, the repository of its name in lower case", () => {
    const registry = "registry.example.com/models";
    expect(find("meta-llama/Llama-3.1-8B", { registry })).toEqual({
      kind: "registry",
      host: "registry.example.com",
      repository: "models/meta-llama/llama-3.1-8b",
      main: "latest",
    });
    expect(find("gpt2", { registry, tag: "stable" })).toMatchObject({
      repository: "models/gpt2",
      main: "stable",
    });
  });

  test.each([
    "",
    "..",
    "a/..",
    "../a",
    "a/b/c",
    "a//b",
    "/a",
    "a/",
    "a--b/c",
    "evil.example:5000/a",
    "a/b@sha256:00",
    "a/b:v1",
    "a b/c",
    "a/b?x",
    "a%2fb/c",
    `a/${"b".repeat(200)}`,
  ])("is nothing for %p", (id) => {
    expect(find(id, { registry: "registry.example.com" })).toBeUndefined();
  });

  test("goes by a map before a registry", () => {
    const given = { map: ["A/b=other.example/x:v2"], registry: "registry.example.com" };
    expect(find("A/b", given)).toMatchObject({
      host: "other.example",
      repository: "x",
      main: "v2",
    });
    expect(find("a/b", given)).toMatchObject({ host: "registry.example.com" });
  });

  test("goes by flags before the configuration", () => {
    const configured = { "a/b": "one.example/x", "c/d": "one.example/y:v1" };
    const given = { map: ["a/b=two.example/x"], configured };
    expect(find("a/b", given)).toMatchObject({ host: "two.example" });
    expect(find("c/d", given)).toMatchObject({ host: "one.example", main: "v1" });
    expect(parseCatalog(options(given)).ids).toEqual(["a/b", "c/d"]);
  });

  test("has the tag of its reference, else the one that is given", () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const tag = "given";
    const of = (reference: string) => find("a/b", { map: [`a/b=${reference}`], tag });
    expect(of("r.example:5000/x")).toMatchObject({ main: "given" });
    expect(of("r.example:5000/x:v1")).toMatchObject({ main: "v1" });
    expect(of(`r.example/x:v1@${digest}`)).toMatchObject({ main: digest });
    expect(of("oci:layout:v1")).toEqual({ kind: "local", text: "oci:layout:v1" });
  });

  test.each([
    { map: ["a/b"] },
    { map: ["=x"] },
    { map: ["a/b="] },
    { map: ["a/b/c=r.example/x"] },
    // Their files would be asked for where the API is.
    { map: ["api/b=r.example/x"] },
    { map: ["v2/b=r.example/x"] },
    { configured: { api: "r.example/x" } },
    { registry: "models" },
    { registry: "r.example/a:v1" },
    { registry: "r.example/A" },
    { registry: "r.example", tag: ".." },
    { map: ["a/b=r.example/x"], tag: "v1/v2" },
    {},
  ])("is refused: %p", (given) => {
    expect(() => parseCatalog(options(given))).toThrow(
      expect.objectContaining({ code: "usage", hint: expect.any(String) }),
    );
  });
});

describe("an address to listen on", () => {
  test.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    [":0", "127.0.0.1", 0],
    ["localhost:1", "127.0.0.1", 1],
    ["0.0.0.0", "0.0.0.0", 8086],
    ["[::1]:9", "::1", 9],
  ])("%s", (text, address, port) => {
    expect(parseListen(text)).toEqual({ address, port });
  });

  test.each(["example.com:80", "127.0.0.1:70000", "::1:9", "127.0.0.1:x", "1.2.3:4"])(
    "is refused: %p",
    (text) => {
      expect(() => parseListen(text)).toThrow(expect.objectContaining({ code: "usage" }));
    },
  );
});

test.each([
  ["", "has no token"],
  ["  ", "has no token"],
  ["tea for two", "has characters that a token cannot have, such as spaces"],
  ["té", "has characters that a token cannot have, such as spaces"],
])("a file with %p for a token", async (text, why) => {
  const cwd = await temporaryDirectory();
  await writeFiles(cwd, { token: text });
  expect(() => readToken({ ...jobIn(cwd), env: {} }, "token")).toThrow(
    `--token-file "token" ${why}`,
  );
});
