import { expect, test } from "bun:test";
import { program } from "../../../scripts/program.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { preparedJob } from "../../support/model/job.ts";
import { recordingRegistry } from "../../support/registry/recording-registry.ts";
import { promptly } from "../../support/promptly.ts";

const large = new Uint8Array(24 * 1024 * 1024);

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "%s during an upload ends a push at once with %d; what was sent stays, and no tag shows it",
  async (signal, code) => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "large.bin": large, "small.bin": "small" });
    const small = `/v2/acme/model/blobs/${digestOf("small")}`;
    const stuck = Promise.withResolvers<void>();
    let sentOnce = false;
    registry.meddle(async (request, next) => {
      // The first part of the large blob is taken, the next one never answered.
      if (request.method !== "PATCH") return next(request);
      if (!sentOnce) {
        sentOnce = true;
        return next(request);
      }
      stuck.resolve();
      return new Promise<Response>(() => {});
    });
    const push = (...words: string[]) =>
      Bun.spawn([...program(), "push", `${registry.host}/acme/model:v1`, ...words], {
        cwd: job.cwd,
        env: { PATH: process.env["PATH"] ?? "", ...job.env } as Record<string, string>,
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 60_000,
      });
    const running = push("--weights", "weights", "--concurrency", "4");
    await stuck.promise;
    while ((await registry.ask(small, { method: "HEAD" })).status !== 200) await Bun.sleep(5);

    const began = performance.now();
    running.kill(signal);
    expect(await running.exited).toBe(code);
    expect(performance.now() - began).toBeLessThan(promptly);
    const said = await new Response(running.stderr).text();
    expect(said).toContain("hint: run the command again to resume\n");
    const tag = "/v2/acme/model/manifests/v1";
    expect((await registry.ask(tag, { method: "HEAD" })).status).toBe(404);

    // The next run sends what is missing, and of the large blob what is missing of it.
    let bytes = 0;
    registry.meddle((request, next) => {
      if (request.method === "PATCH") bytes += Number(request.headers.get("content-length"));
      return next(request);
    });
    const again = push("--weights", "weights", "--json");
    const report = (await new Response(again.stdout).json()) as { present: { blobs: number } };
    expect(await again.exited).toBe(0);
    expect(report.present.blobs).toBeGreaterThanOrEqual(1);
    expect((await registry.ask(tag, { method: "HEAD" })).status).toBe(200);
    expect(bytes).toBe(8 * 1024 * 1024);
  },
  60_000,
);
