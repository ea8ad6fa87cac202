import { beforeEach, describe, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Config, parseConfig, readConfig } from "../../../../src/model/session/config.ts";
import { settingsOf, verifySettingsOf } from "../../../../src/model/session/settings-of.ts";
import { OcibundleError } from "../../../../src/errors.ts";
import type { EmitEvent } from "../../../../src/transfer/events.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const path = "/etc/ocibundle/config.yaml";
let told: string[] = [];
const emit: EmitEvent = (event) => {
  if (event.type === "warning") told.push(event.message);
};
beforeEach(() => {
  told = [];
});
const parse = (text: string): Config => parseConfig(new TextEncoder().encode(text), path);

function fault(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "file") return error.message;
    throw error;
  }
  throw new Error("nothing was wrong with it");
}

const withMirror = (mirror: string): string =>
  `registries:\n  docker.io:\n    mirrors:\n      - ${mirror}\n`;

const mirrorOf = (mirror: string) => settingsOf(parse(withMirror(mirror)), "docker.io").mirrors[0];

test("a member that no settings have is said with a hint", () => {
  expect(() => parse("serve: {registy: r.example}")).toThrow(
    expect.objectContaining({ hint: "check its name and its indentation" }),
  );
});

describe("a configuration", () => {
  test("says how registries are spoken to, with paths from its own directory", () => {
    const config = parse(`
registries:
  docker.io:
    mirrors: [zot.internal:5000, "http://10.0.0.1:30020"]
  Registry.Example.com:
    caFile: certs/ca.pem
    certFile: /etc/pki/own.pem
    keyFile: own.key
    insecure: false
`);
    expect(settingsOf(config, "docker.io").mirrors.map(({ host }) => host)).toEqual([
      "zot.internal:5000",
      "10.0.0.1:30020",
    ]);
    expect(settingsOf(config, "registry.example.COM")).toEqual({
      mirrors: [],
      insecure: false,
      caFile: "/etc/ocibundle/certs/ca.pem",
      certFile: "/etc/pki/own.pem",
      keyFile: "/etc/ocibundle/own.key",
    });
    expect(settingsOf(config, "ghcr.io")).toEqual({ mirrors: [] });
  });

  test("has an entry for all registries without one of their own, and never mixes the two", () => {
    const config = parse(`
registries:
  "*": { mirrors: [127.0.0.1:30020], plainHttp: true }
  ghcr.io: { insecure: true }
`);
    expect(settingsOf(config, "quay.io")).toMatchObject({ plainHttp: true });
    expect(settingsOf(config, "ghcr.io")).toEqual({ mirrors: [], insecure: true });
  });

  test.each(["", "{}", "registries: {}", "# nothing yet\n", '{"registries": {}}'])(
    "may say nothing: %j",
    (text) => expect(settingsOf(parse(text), "docker.io")).toEqual({ mirrors: [] }),
  );
});

describe("a mirror", () => {
  test.each([
    ["zot:5000", "zot:5000", undefined, ""],
    ["zot", "zot", undefined, ""],
    ["http://zot", "zot", "http", ""],
    ["HTTPS://harbor.example.com/proxy/hub/", "harbor.example.com", "https", "proxy/hub"],
    ["zot.internal/docker.io", "zot.internal", undefined, "docker.io"],
    ['"[::1]:5000"', "[::1]:5000", undefined, ""],
    ['"http://[fd00::1]:5000"', "[fd00::1]:5000", "http", ""],
  ] as const)("is read from %p", (text, host, scheme, prefix) => {
    expect(mirrorOf(text)).toMatchObject({ host, scheme, prefix, tags: true });
  });

  test("may be asked for digests only", () => {
    expect(mirrorOf("{url: zot:5000, tags: false}")).toMatchObject({
      host: "zot:5000",
      tags: false,
    });
  });

  test("may be told more with each request", () => {
    expect(mirrorOf("{url: zot:5000, headers: {X-Registry: https://ghcr.io}}")?.headers).toEqual({
      "x-registry": "https://ghcr.io",
    });
  });

  test.each([
    ["{url: zot, headers: {Authorization: Basic eA==}}", "is a header that cannot be set"],
    ["{url: zot, headers: {Content-Length: '1'}}", "is a header that cannot be set"],
    ["{url: zot, headers: {'a b': c}}", "is not the name of a header"],
    ['{url: zot, headers: {a: "b\\nc"}}', "is not the value of a header"],
    ["{url: zot, headers: [a]}", "headers: must be a mapping"],
    ["ftp://zot", "is neither http nor https"],
    ["'https://'", "is not a host or URL"],
    ["'ada:s3cret@zot'", "is not a host or URL"],
    ["zot:99999", "is not a host or URL"],
    ["1.2.3.999", "is not a host or URL"],
    ["'[:::]:5000'", "is not a host or URL"],
    ["https://zot/v2/", "remove /v2"],
    ["https://zot/Upper", "has a path that is not a prefix of a repository name"],
    ["'https://zot/a?b=c'", "has a path that is not a prefix of a repository name"],
    ["https://zot/../a", "has a path that is not a prefix of a repository name"],
    ["{tags: true}", "url: is missing"],
    ["{url: zot, resolve: true}", "resolve: is not known"],
    ["{url: 7}", "must be a host or a URL"],
    ["7", "must be a mapping"],
  ])("is refused as %s", (text, why) => {
    const message = fault(() => parse(withMirror(text)));
    expect(message).toStartWith(`${path}: registries.docker.io.mirrors.0`);
    expect(message).toContain(why);
  });
});

describe("what is no configuration", () => {
  test.each([
    ["registries: [", "line "],
    ["just a text", "must be a mapping"],
    ["- a", "must be a mapping"],
    ["registries: [docker.io]", "registries: must be a mapping"],
    ["registrys: {}", "registrys: is not known"],
    ["registries: {docker.io: }", "registries.docker.io: must be a mapping"],
    ["registries: {docker.io: {mirror: [a]}}", "registries.docker.io.mirror: is not known"],
    ["registries: {docker.io: {mirrors: zot}}", "registries.docker.io.mirrors: must be a list"],
    ["registries: {docker.io: {plainHttp: 1}}", "plainHttp: must be true or false"],
    ["registries: {docker.io: {caFile: ''}}", "caFile: must not be empty"],
    ["registries: {'https://docker.io': {}}", "is not a host"],
    ["registries: {docker.io/library: {}}", "is not a host"],
  ])("is told from %j", (text, why) => {
    const message = fault(() => parse(text));
    expect(message).toStartWith(`${path}: `);
    expect(message).toContain(why);
  });

  test("is a file that is far too large, or not there", async () => {
    const cwd = await temporaryDirectory();
    const read = (config: string) => readConfig({ env: {}, cwd, flags: { config }, emit });
    await writeFiles(cwd, { large: `#${"x".repeat(2 ** 20)}` });
    expect(fault(() => read("large"))).toContain("is too large");
    expect(fault(() => read("missing"))).toBe(
      `the configuration "${join(cwd, "missing")}" does not exist`,
    );
    expect(fault(() => read("."))).toContain("is a directory");
    expect(isRead(read("/dev/null"))).toBe(false);
  });
});

const isRead = (config: Config): boolean => settingsOf(config, "docker.io").plainHttp === true;

describe("the configuration in force", () => {
  const text = "registries: {docker.io: {plainHttp: true}}";

  test("is the user's own, where there is one", async () => {
    const cwd = await temporaryDirectory();
    const own = { env: { HOME: cwd }, cwd, flags: {}, emit };
    expect(isRead(readConfig(own))).toBe(false);
    await writeFiles(cwd, { ".config/ocibundle/config.yaml": text });
    expect(isRead(readConfig(own))).toBe(true);
    const elsewhere = { ...own, env: { HOME: cwd, XDG_CONFIG_HOME: join(cwd, "xdg") } };
    expect(isRead(readConfig(elsewhere))).toBe(false);
    await writeFiles(cwd, { "xdg/ocibundle/config.yaml": text });
    expect(isRead(readConfig(elsewhere))).toBe(true);
  });

  test("is not one that cannot be read and that nobody named, which is told", async () => {
    const cwd = await temporaryDirectory();
    const at = join(cwd, ".config", "ocibundle", "config.yaml");
    await mkdir(at, { recursive: true });
    expect(isRead(readConfig({ env: { HOME: cwd }, cwd, flags: {}, emit }))).toBe(false);
    expect(told).toEqual([`the configuration "${at}" is a directory; continuing without it`]);
  });

  test("is not one that is no YAML and that nobody named; what is wrong in one is an error", async () => {
    const cwd = await temporaryDirectory();
    const own = { env: { HOME: cwd }, cwd, flags: {}, emit };
    const at = ".config/ocibundle/config.yaml";
    await writeFiles(cwd, { [at]: "registries: {" });
    expect(isRead(readConfig(own))).toBe(false);
    expect(told).toHaveLength(1);
    expect(told[0]).toEndWith("; continuing without it");
    expect(fault(() => readConfig({ ...own, flags: { config: at } }))).toContain("line 1");
    await writeFiles(cwd, { [at]: "registries: {docker.io: {plainHttp: 7}}" });
    expect(fault(() => readConfig(own))).toContain("must be true or false");
  });

  test("is the file that is named, and never one of the directory that one works in", async () => {
    const cwd = await temporaryDirectory();
    await writeFiles(cwd, { "config.yaml": text, "ocibundle/config.yaml": text });
    const env = { HOME: join(cwd, "home"), XDG_CONFIG_HOME: "." };
    expect(isRead(readConfig({ env, cwd, flags: {}, emit }))).toBe(false);
    expect(isRead(readConfig({ env, cwd, flags: { config: "config.yaml" }, emit }))).toBe(true);
  });
});

describe("the settings of a registry", () => {
  test.each([
    ["docker.io", "registry-1.docker.io"],
    ["registry-1.docker.io", "docker.io"],
    ["Index.Docker.io:443", "docker.io"],
    ["ghcr.io", "GHCR.io:443"],
    ["ghcr.io:443", "ghcr.io"],
    ["[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"],
  ])("of %s hold for %s", (set, asked) => {
    const config = parse(`registries: {"${set}": {insecure: true}, "*": {insecure: false}}`);
    expect(settingsOf(config, asked).insecure).toBe(true);
  });

  test("of its own spelling come before those of another", () => {
    const config = parse(
      'registries: {"ghcr.io:443": {layout: image}, ghcr.io: {insecure: true}, "*": {plainHttp: true}}',
    );
    expect(settingsOf(config, "ghcr.io")).toEqual({ mirrors: [], insecure: true });
    expect(settingsOf(config, "ghcr.io:0443").layout).toBe("image");
    expect(settingsOf(config, "ghcr.io:8443").plainHttp).toBe(true);
  });

  test("are refused where one spelling is there twice", () => {
    const config = "registries: {GHCR.io: {verify: {key: /k}}, ghcr.io: {}}";
    expect(() => parse(config)).toThrow("registries.ghcr.io: is listed twice");
  });
});

const keyOf = (config: string, host: string, repository = "acme/llama"): unknown =>
  verifySettingsOf(parse(`registries: ${config}`), { host, repository });

describe("who must have signed", () => {
  const signed = [{ kind: "key", key: "/k" }];

  test.each([
    ["docker.io", "index.docker.io"],
    ["docker.io", "Index.Docker.io"],
    ["docker.io", "registry-1.docker.io"],
    ["docker.io", "DOCKER.IO:443"],
    ["index.docker.io", "docker.io"],
    ["ghcr.io", "GHCR.io:443"],
    ["ghcr.io:443", "ghcr.io"],
  ])("for %s holds for %s", (set, asked) => {
    expect(keyOf(`{"${set}": {verify: {key: /k}}, "*": {verify: false}}`, asked)).toEqual(signed);
  });

  test("of another port is another registry's", () => {
    expect(keyOf("{localhost: {verify: {key: /k}}}", "localhost:5000")).toEqual([]);
    expect(keyOf("{ghcr.io: {verify: {key: /k}}}", "ghcr.io:8443")).toEqual([]);
  });

  test("holds for a spelling besides an entry of its own that says nothing of it", () => {
    const config = '{ghcr.io: {verify: {key: /k}}, "ghcr.io:443": {plainHttp: false}}';
    expect(keyOf(config, "ghcr.io:443")).toEqual(signed);
  });

  test("is refused where a pattern is empty and would match any identity", () => {
    const signer = '{identityRegexp: "", issuer: "https://i.example", trustedRoot: /r}';
    expect(() => parse(`registries: {ghcr.io: {verify: ${signer}}}`)).toThrow("must not be empty");
  });

  test("is set for official repositories with library or without", () => {
    const config = "{docker.io: {verify: false, repositories: {ubuntu: {verify: {key: /k}}}}}";
    expect(keyOf(config, "docker.io", "library/ubuntu")).toEqual(signed);
    expect(keyOf(config, "docker.io", "acme/ubuntu")).toEqual([]);
  });
});
