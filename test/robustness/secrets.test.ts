import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { startEmbeddedRegistry, type TestRegistry } from "../../scripts/registries.ts";
import { type Bench, type Ended, filesBelow, openBench } from "./program-run.ts";

const password = "pa55-of-ada";

let bench: Bench;
let registry: TestRegistry;
let front: ReturnType<typeof Bun.serve>;
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
  await mkdir(bench.path("docker"));
  await logInAs(password);
  const mock = ["mock-weights", "-n", "2", "--min-size", "5mb", "--max-size", "9mb"];
  expect((await bench.run(mock)).code).toBe(0);
});
afterAll(async () => {
  await front.stop(true);
  await registry.stop();
  bench[Symbol.dispose]();
});

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
