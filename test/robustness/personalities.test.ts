import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { program } from "../../scripts/program.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { serveHttp } from "../../src/harness/registry/instance/http-server.ts";
import { personalityNames } from "../../src/harness/misbehave/personalities/personality.ts";
import { openServed, type Serving } from "../../src/harness/registry/serving.ts";
import { type Bench, filesBelow, openBench, sameBytes } from "../support/attacks/program-run.ts";
import { expectRun } from "../support/attacks/expect-run.ts";

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

interface Asked {
  method: string;
  path: string;
  status: number;
}

/** `GET /v2/ 200` */
const lineOf = ({ method, path, status }: Asked): string => `${method} ${path} ${status}`;

/** A registry with the ways of another, and what it was asked. */
async function serve(bench: Bench, serving: Serving) {
  const handle = await openServed(bench.path("storage"), serving);
  const all: string[] = [];
  const asked: Asked[] = [];
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    async handle(request) {
      const { method } = request;
      const { pathname: path } = new URL(request.url);
      const response = await handle(request);
      const { status } = response;
      asked.push({ method, path, status });
      return response;
    },
  });
  return {
    host: `127.0.0.1:${server.port}`,
    /** What was asked since the last time. */
    asked: () => {
      const since = asked.splice(0);
      all.push(...since.map(lineOf));
      return since;
    },
    /** Everything that was ever asked. */
    all,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function login(bench: Bench, host: string): Promise<void> {
  const child = Bun.spawn([...program(), "login", host, "--username", "ada", "--password-stdin"], {
    cwd: bench.directory,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: bench.directory,
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

/** What a mount and a download in ranges look like. */
const isMount = (line: string): boolean => /^POST .* 201$/.test(line);
const isRange = (line: string): boolean => /^GET .* 206$/.test(line);

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

      registry.asked();
      await expectRun(bench, push("other:v1"));
      expect(registry.asked().map(lineOf).some(isMount)).toBe(like !== "artifactory");

      const pull = ["pull", `${host}/acme/other:v1`, "-o", "models", "--no-cache"];
      await expectRun(bench, pull);
      const [file = ""] = filesBelow(parts.path("weights"));
      const original = readFileSync(parts.path("weights", file));
      expect(sameBytes(bench.path("models/cache", file), original)).toBe(true);
      expect(registry.asked().map(lineOf).some(isRange)).toBe(like !== "artifactory");

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

/** What a client that was in the middle of an upload finds out. */
const brokenSigns: Partial<Record<(typeof personalityNames)[number], RegExp>> = {
  "ecr-public": /^GET .*\/blobs\/uploads\/\S+ 404$/,
};

describe("a push whose upload breaks off passes against a registry like", () => {
  test.each(personalityNames)(
    "%s",
    async (like) => {
      using bench = openBench(`broken-${like}`);
      const fault = ["reset,method=PATCH,at=1000000,times=1"];
      await using registry = await serve(bench, { like, scale: 10, fault });
      const reference = `${registry.host}/acme/llama:v1`;
      const weights = `--weights=${parts.path("weights")}`;
      await expectRun(bench, ["push", reference, weights, `--lock=${parts.path("weights.lock")}`]);
      registry.asked();
      const sign = brokenSigns[like];
      if (sign !== undefined)
        expect(registry.all.filter((line) => sign.test(line))).not.toEqual([]);
      await expectRun(bench, ["verify", reference]);
    },
    60_000,
  );
});
