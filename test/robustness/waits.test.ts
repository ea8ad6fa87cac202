import { expect, test } from "bun:test";
import { program } from "../../scripts/program.ts";
import { serve } from "../support/registry/scripted-server.ts";
import { promptly } from "../support/promptly.ts";

const busy = (status: number): Response =>
  new Response("", { status, headers: { "retry-after": "200" } });

/** Starts to look something up, interrupts it once it has said that it waits, and resolves to how it ended. */
async function interrupted(host: string, signal: NodeJS.Signals, flags: readonly string[] = []) {
  const child = Bun.spawn([...program(), "inspect", `${host}/acme/llama:v1`, ...flags], {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  let said = "";
  let at = Number.NaN;
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (!Number.isNaN(at) || !/retrying in|"type":"wait"/.test(said)) continue;
    at = performance.now();
    child.kill(signal);
  }
  return { code: await child.exited, said, milliseconds: performance.now() - at };
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends a wait that a registry asked for", async (signal, code) => {
  await using server = serve(() => busy(429));
  const ended = await interrupted(server.host, signal);
  expect(ended.code).toBe(code);
  expect(ended.said).toContain("too many requests (429); retrying in 3 min 20 s");
  expect(ended.milliseconds).toBeLessThan(promptly);
  expect(server.seen).toHaveLength(1);
});

test("^C ends a wait that a token server asked for, which programs can see too", async () => {
  await using tokens = serve(() => busy(503));
  await using server = serve(
    () =>
      new Response("", {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="${tokens.origin}/token"` },
      }),
  );
  const ended = await interrupted(server.host, "SIGINT", ["--progress", "json"]);
  expect(ended.code).toBe(130);
  expect(ended.said).toContain('"type":"wait","milliseconds":200000');
  expect(ended.said).toContain(`token server ${tokens.host} answered 503`);
  expect(ended.milliseconds).toBeLessThan(promptly);
});
