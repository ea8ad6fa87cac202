import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { program } from "../../scripts/program.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { serveBreakable } from "../../src/server/breakable-server.ts";
import { personalityNames } from "../../src/server/personalities/personality.ts";
import { openServed, type Serving } from "../../src/server/serving.ts";
import { type Bench, filesBelow, openBench, sameBytes } from "./program-run.ts";

/** What is pushed: an image and a weight. */
let parts: Bench;

/** Of the weight, in MiB: more than one chunk. */
const large = 20;

beforeAll(async () => {
  parts = openBench("parts");
  await writeSampleImage(parts.path("image"), "v1", sampleLayers("print(1)\n"));
  const size = [`--min-size=${large}mb`, `--max-size=${large}mb`];
  await expectRun(parts, ["mock-weights", "-n", "1", ...size, "--seed", "7"]);
}, 60_000);

afterAll(() => parts[Symbol.dispose]());

async function expectRun(bench: Bench, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await bench.run(args);
  expect({ args, code, stderr: code === 0 ? "" : stderr }).toEqual({ args, code: 0, stderr: "" });
  return stdout;
}

/** A registry with the ways of another, and what it was asked. */
async function serve(bench: Bench, serving: Serving) {
  const { handle } = await openServed(bench.path("storage"), serving);
  const all: string[] = [];
  const asked: { method: string; path: string; status: number }[] = [];
  const server = await serveBreakable({
    hostname: "127.0.0.1",
    port: 0,
    async handle(request) {
      const { method } = request;
      const { pathname: path } = new URL(request.url);
      const response = await handle(request);
      asked.push({ method, path, status: response.status });
      return response;
    },
  });
  return {
    host: `127.0.0.1:${server.port}`,
    /** What was asked since the last time. */
    asked: () => {
      const since = asked.splice(0);
      all.push(...since.map(({ method, path, status }) => `${method} ${path} ${status}`));
      return since;
    },
    /** Everything that was ever asked, as `GET /v2/ 200`. */
    all,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function login(bench: Bench, host: string): Promise<void> {
  const child = Bun.spawn([...program(), "login", host, "--username", "ada", "--password-stdin"], {
    cwd: bench.folder,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: bench.folder,
      DOCKER_CONFIG: bench.path("docker"),
    },
    stdin: new TextEncoder().encode("s3cret"),
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  expect({ code: await child.exited, said }).toEqual({ code: 0, said: "" });
}

const isUpload = ({ path }: { path: string }): boolean => path.includes("/blobs/uploads/");

/** What shows that a registry was in the way, where it shows from outside. */
const signs: Partial<Record<(typeof personalityNames)[number], RegExp[]>> = {
  ghcr: [/^PATCH .* 416$/],
  ecr: [/^PATCH .* 201$/],
  gar: [/^PATCH .* 400$/],
  dockerhub: [/ 429$/],
  artifactory: [/^POST .* 405$/, /^GET .*\/blobs\/sha256:\S+ 400$/],
  gitlab: [/^GET \/jwt\/auth 200$/],
  s3: [/^GET .*\/blobs\/sha256:\S+ 307$/, /^GET \/_storage\/.* 206$/],
};

describe("the whole round passes against a registry like", () => {
  test.each(personalityNames)(
    "%s",
    async (like) => {
      using bench = openBench(`like-${like}`);
      await using registry = await serve(bench, { like, scale: 10, auth: "ada:s3cret" });
      const { host } = registry;
      await login(bench, host);
      const model = [`--image=oci:${parts.path("image")}:v1`, `--weights=${parts.path("weights")}`];
      model.push(`--lock=${parts.path("weights.lock")}`);
      const push = (name: string) => ["push", `${host}/acme/${name}`, ...model];

      await expectRun(bench, push("llama:v1"));
      expect(registry.asked().some(isUpload)).toBe(true);

      await expectRun(bench, push("llama:v1"));
      expect(registry.asked().filter(isUpload)).toEqual([]);

      await expectRun(bench, push("other:v1"));

      const pull = ["pull", `${host}/acme/other:v1`, "-o", "models", "--no-cache"];
      await expectRun(bench, pull);
      const [file = ""] = filesBelow(parts.path("weights"));
      const original = readFileSync(parts.path("weights", file));
      expect(sameBytes(bench.path("models/cache", file), original)).toBe(true);

      await expectRun(bench, ["copy", `${host}/acme/llama:v1`, `${host}/mirror/llama:v2`]);
      const raw = (name: string) => expectRun(bench, ["inspect", `${host}/${name}`, "--raw"]);
      expect(await raw("mirror/llama:v2")).toBe(await raw("acme/llama:v1"));

      registry.asked();
      for (const sign of signs[like] ?? []) {
        expect(registry.all.some((line) => sign.test(line))).toBe(true);
      }
    },
    60_000,
  );
});
