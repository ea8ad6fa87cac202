import { afterAll, beforeAll, expect, test } from "bun:test";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { type Bench, openBench } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

interface Check {
  check: string;
  result: string;
  chunk?: number;
  minimumChunk?: number;
  servedBy?: string;
}

let bench: Bench;
beforeAll(() => {
  bench = openBench("doctor");
});
afterAll(() => bench[Symbol.dispose]());

/** What `doctor` finds at a registry that behaves as a hosted one does (docs/dev/embedded-registry.md). */
async function examine(like: string): Promise<{ checks: Check[]; left: unknown[] }> {
  const registry = await startEmbeddedRegistry(bench.path(like), ["--like", like]);
  try {
    const model = `${registry.address}/acme/llama`;
    const { code, stdout, stderr } = await bench.run(["doctor", model, "--size", "24mb", "--json"]);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout) as { checks: Check[]; left: unknown[] };
  } finally {
    await registry.stop();
  }
}

test.each([
  ["ghcr", []],
  ["ecr", ["chunks", "resume"]],
  ["ecr-public", ["resume"]],
  ["gar", ["chunks"]],
  ["acr", ["put"]],
  ["dockerhub", []],
  ["quay", []],
  ["harbor", []],
  ["zot", ["docker"]],
  ["artifactory", ["mount", "range", "parallel"]],
  ["gitlab", ["layers"]],
  ["crane", []],
  ["s3", []],
] as const)("what %s does not do is found out: %p", async (like, lacking) => {
  const { checks, left } = await examine(like);
  const notDone = checks.filter(({ result }) => result !== "yes").map(({ check }) => check);
  expect(notDone).toEqual(["login", ...lacking]);
  expect(left).toEqual([]);
  const found = (name: string) => checks.find(({ check }) => check === name);
  // The one takes chunks that are small, the other such as are large, and the third gives blobs elsewhere.
  if (like === "ghcr") expect(found("chunks")?.chunk).toBe(4 * MiB);
  if (like === "gitlab") expect(found("chunks")?.minimumChunk).toBe(5 * MiB);
  if (like === "s3") expect(found("range")?.servedBy).toStartWith("localhost:");
});
