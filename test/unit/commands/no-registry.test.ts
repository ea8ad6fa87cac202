import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../../../scripts/program.ts";
import { sampleLayers, writeSampleImage } from "../../../scripts/sample-image.ts";
import { peakMemory } from "../../../scripts/peak-memory.ts";

/** Far below the gigabyte that is offered, far above what any command takes. */
const mostMemory = 400 * 1024 * 1024;
/** A command that reads all that it is offered takes longer. In milliseconds. */
const longest = 15_000;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-no-registry-"));
  await writeSampleImage(join(directory, "image"), "v1", sampleLayers(""));
  await writeFile(join(directory, "weights.bin"), "weights");
  const locked = await run(["lock", "weights.bin"]);
  expect(locked.code).toBe(0);
});
afterAll(() => rm(directory, { recursive: true }));

async function run(words: readonly string[]) {
  const running = Bun.spawn([...program(), ...words], {
    cwd: directory,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: directory,
      OCIBUNDLE_CACHE: join(directory, "cache"),
      DOCKER_HOST: `unix://${join(directory, "no-engine.sock")}`,
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: longest,
    killSignal: "SIGKILL",
  });
  // What the system counts at the end has the memory of this process in it, from before the program began.
  let memory = 0;
  const look = setInterval(() => {
    memory = Math.max(memory, peakMemory(running.pid) ?? 0);
  }, 10);
  const [code, stdout, stderr] = await Promise.all([
    running.exited,
    new Response(running.stdout).text(),
    new Response(running.stderr).text(),
  ]);
  clearInterval(look);
  return { code, stdout, stderr, memory };
}

/** A document that does not end for a gigabyte. */
function endless(): ReadableStream<Uint8Array> {
  const chunk = new TextEncoder().encode(`{"a":"${"x".repeat(1024 * 1024)}"},`);
  let left = 1024;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk);
      else controller.close();
    },
  });
}

const json = { "content-type": "application/vnd.oci.image.index.v1+json" };

const kinds: Record<string, (request: Request) => Response> = {
  "a web page": () =>
    new Response("<!doctype html><p>Welcome", { headers: { "content-type": "text/html" } }),
  "an empty answer": () => new Response(""),
  "no content": () => new Response(null, { status: 204 }),
  "a redirect to itself": ({ url }) => Response.redirect(url, 307),
  "redirects without end": ({ url }) =>
    Response.redirect(`${url}${url.includes("?") ? "x" : "?x"}`, 302),
  "a gigabyte of JSON": () => new Response(endless(), { headers: json }),
  "a gigabyte of refusal": () => new Response(endless(), { headers: json, status: 400 }),
  "JSON that is no manifest": () => Response.json({ hello: "world" }),
};

const commands = (host: string): string[][] => [
  ["inspect", `${host}/acme/llama:v1`],
  ["push", `${host}/acme/llama:v1`, "--image", "oci:image", "--file", "weights=weights.bin"],
  ["pull", `${host}/acme/llama:v1`, "-o", "out"],
  ["verify", `${host}/acme/llama:v1`],
  ["diff", "weights.lock", `${host}/acme/llama:v1`],
  ["copy", `${host}/acme/llama:v1`, `oci:copied`],
  ["copy", "oci:image", `${host}/acme/llama:v1`],
  ["push", "localhost:1/acme/llama:v1", "--image", `docker://${host}/acme/llama:v1`],
];

describe("what is no registry", () => {
  test.each(Object.entries(kinds))(
    "%s: every command says so, soon, and in little memory",
    async (_, answer) => {
      const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: answer });
      const host = `127.0.0.1:${server.port}`;
      try {
        for (const words of commands(host)) {
          const { code, stdout, stderr, memory } = await run(words);
          expect({ words, code, stdout }).toEqual({ words, code: 6, stdout: "" });
          const said = stderr.split("\n").filter((line) => /^(?:error|hint): /.test(line));
          expect(said).toHaveLength(2);
          expect(said[0]).toContain(host);
          expect(said[0]?.length).toBeLessThan(600);
          expect(said[1]).toStartWith(`hint: check that ${host} is a registry`);
          if (process.platform === "linux") expect(memory).toBeGreaterThan(0);
          expect(memory).toBeLessThan(mostMemory);
        }
      } finally {
        await server.stop(true);
      }
    },
    60_000,
  );
});
