import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { startEmbeddedRegistry, type TestRegistry } from "../../scripts/registries.ts";
import { type ScriptedHub, startHub } from "../support/sources/hub.ts";
import { type ScriptedS3, startS3 } from "../support/sources/s3.ts";
import { type ScriptedWeb, startWeb } from "../support/sources/web.ts";
import { type Bench, type Ended, filesBelow, openBench } from "../support/attacks/program-run.ts";

const password = "pa55-of-ada";

let bench: Bench;
let registry: TestRegistry;
let front: ReturnType<typeof Bun.serve>;
let hub: ScriptedHub;
let store: ScriptedS3;
let web: ScriptedWeb;
let host = "";
/** All that lets somebody in and that went over the wire: passwords and tokens. */
const secrets = new Set([password, "pa55-of-nobody"]);
/** Requests to break off, one in so many; 0 for none. */
let breaking = 0;
let count = 0;

/** What stands between the program and the registry, sees every secret, and breaks some requests off. */
async function pass(request: Request): Promise<Response> {
  const url = new URL(request.url);
  const sent = request.headers.get("authorization")?.split(" ")[1];
  if (sent !== undefined) secrets.add(sent);
  count += 1;
  if (breaking > 0 && count % breaking === 0) return new Response("", { status: 503 });
  const answer = await fetch(`http://${registry.address}${url.pathname}${url.search}`, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    redirect: "manual",
  });
  if (url.pathname !== "/token") return answer;
  const text = await answer.text();
  const { token } = JSON.parse(text) as { token?: string };
  if (token !== undefined) secrets.add(token);
  return new Response(text, { status: answer.status, headers: { "content-type": "text/json" } });
}

beforeAll(async () => {
  bench = openBench("secrets");
  registry = await startEmbeddedRegistry(bench.path("registry"), [
    "--auth",
    `ada:${password}`,
    "--token-auth",
  ]);
  front = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: pass });
  host = `127.0.0.1:${front.port}`;
  // No secret has a shape by which what is printed could be struck out: nothing may print it to begin with.
  const large = Buffer.alloc(100_000, 1);
  hub = await startHub(
    { "config.json": "{}", "model.bin": large },
    { token: marker("hubtoken"), signature: marker("hubsignature") },
  );
  store = await startS3(
    { "llama/weights.bin": Buffer.alloc(50_000, 2) },
    { accessKey: "accesskey" },
  );
  web = await startWeb({ "file.bin": Buffer.alloc(50_000, 3) });
  web.switches.redirect = `${web.origin}/*?sig=${marker("redirectquery")}`;
  await mkdir(bench.path("docker"));
  await logInAs(password);
  const mock = ["mock-weights", "-n", "2", "--min-size", "5mb", "--max-size", "9mb"];
  expect((await bench.run(mock)).code).toBe(0);
});
afterAll(async () => {
  await Promise.all([hub.close(), store.close(), web.close(), front.stop(true)]);
  await registry.stop();
  bench[Symbol.dispose]();
});

function marker(name: string): string {
  const text = `${name}-0f1e2d3c`;
  secrets.add(text);
  return text;
}

const logInAs = (secret: string): Promise<void> =>
  writeFile(
    bench.path("docker", "config.json"),
    JSON.stringify({ auths: { [host]: { auth: btoa(`ada:${secret}`) } } }),
  );

/** Every secret in what a run said, and in what lies in its directories but for Docker's own file. */
function found({ stdout, stderr }: Ended): string[] {
  const places = [["what was said", stdout + stderr]];
  for (const name of filesBelow(bench.directory)) {
    if (name.startsWith("docker/") || name.startsWith("registry/")) continue;
    // Larger are the weights alone.
    if (statSync(bench.path(name)).size > 4_000_000) continue;
    places.push([name, readFileSync(bench.path(name), "latin1")]);
  }
  return places.flatMap(([place, text = ""]) =>
    [...secrets].filter((secret) => text.includes(secret)).map(() => String(place)),
  );
}

const verbosities = [[], ["-v", "--json", "--progress", "json"]];
const model = (tag: string): string => `${host}/acme/llama:${tag}`;

test.each(verbosities.map((flags) => [flags]))(
  "no secret is told or kept with %p",
  async (flags) => {
    breaking = 13;
    const tag = `v${flags.length}`;
    for (const [args, code] of [
      [["push", model(tag), "--weights", "weights", "--dry-run"], 0],
      [["push", model(tag), "--weights", "weights"], 0],
      [["pull", model(tag), "-o", `models-${tag}`, "--no-cache"], 0],
      [["copy", model(tag), `${host}/acme/other:${tag}`], 0],
      [["doctor", model(tag), "--size", "64kb"], 0],
      [["inspect", model("missing")], 3],
    ] as const) {
      const ended = await bench.run([...args, ...flags]);
      expect({ args, code: ended.code, stderr: ended.code === code ? "" : ended.stderr }).toEqual({
        args,
        code,
        stderr: "",
      });
      expect(found(ended)).toEqual([]);
    }
    breaking = 0;
    await logInAs("pa55-of-nobody");
    const refused = await bench.run(["inspect", model(tag), ...flags]);
    await logInAs(password);
    expect(refused.code).toBe(4);
    expect(found(refused)).toEqual([]);
    // The password, its Basic form, another's two, and tokens.
    expect(secrets.size).toBeGreaterThan(5);
  },
);

test.each(verbosities.map((flags) => [flags]))(
  "no secret of a source is told or kept with %p",
  async (flags) => {
    const tag = `sources${flags.length}`;
    const url = `${web.origin}/file.bin?X-Amz-Signature=${marker("signature")}&k=${marker("key")}`;
    const userinfo = `https://ada:${marker("userinfo")}@files.example/x.bin`;
    const env = {
      HF_ENDPOINT: hub.endpoint,
      HF_TOKEN: marker("hubtoken"),
      AWS_ENDPOINT_URL_S3: store.endpoint,
      AWS_REGION: "eu-west-1",
      AWS_ACCESS_KEY_ID: "accesskey",
      AWS_SECRET_ACCESS_KEY: marker("secretkey"),
      AWS_SESSION_TOKEN: marker("sessiontoken"),
    };
    const container = {
      AWS_ENDPOINT_URL_S3: store.endpoint,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${web.origin}/missing?t=${marker("containerquery")}`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: marker("containertoken"),
    };
    const push = (name: string, source: string, ...more: string[]) => [
      "push",
      model(`${tag}-${name}`),
      source,
      "--lock",
      `${name}${flags.length}.lock`,
      ...more,
    ];
    const hubModel = "hf://acme/tiny";
    const bucket = "s3://models/llama";
    for (const [args, code, given = env] of [
      [push("hub", hubModel, "--annotations-from-source"), 0],
      [push("s3", bucket, "--annotations-from-source"), 0],
      [push("web", url, "--annotations-from-source"), 0],
      [push("moved", `${web.origin}/moved/file.bin`), 0],
      [["inspect", model(`${tag}-web`)], 0],
      [["build", "-o", `oci:out-${tag}`, "--weights", url, "--lock", `web${flags.length}.lock`], 0],
      [["lock", hubModel, "-o", "other.lock"], 3, { ...env, HF_TOKEN: marker("othertoken") }],
      [["lock", bucket, "-o", "other.lock"], 4, { ...env, AWS_ACCESS_KEY_ID: "other" }],
      [["lock", bucket, "-o", "other.lock"], 4, container],
      [["lock", url.replace("file", "missing"), "-o", "other.lock"], 3],
      [["lock", userinfo, "-o", "other.lock"], 2],
      [["inspect", url], 2],
      [push("bad", hubModel, "--annotation", `a=${userinfo}`), 2],
      [push("bad", hubModel, "--annotation", `a=${url}`), 2],
    ] as const) {
      const ended = await bench.run([...args, ...flags], given);
      expect({ args, code: ended.code, stderr: ended.code === code ? "" : ended.stderr }).toEqual({
        args,
        code,
        stderr: "",
      });
      expect(found(ended)).toEqual([]);
    }
    const raw = await bench.run(["inspect", model(`${tag}-web`), "--raw"]);
    expect(raw.stdout).toContain(`${web.origin}/file.bin"`);
    expect(found(raw)).toEqual([]);
    // Other bytes than those that are listed.
    hub.switches.wrong = ["model.bin"];
    hub.files.set("model.bin", Buffer.alloc(100_000, flags.length));
    const wrong = await bench.run([...push("wrong", hubModel), ...flags], env);
    hub.switches.wrong = [];
    expect(wrong.code).toBe(5);
    expect(found(wrong)).toEqual([]);
    expect(hub.seen.some(({ path }) => path.includes("hubsignature"))).toBe(true);
    expect(web.seen.some(({ url: path }) => path.includes("redirectquery"))).toBe(true);
  },
);
