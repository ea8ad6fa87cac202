import { describe, expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startDockerRegistry, startEmbeddedRegistry } from "../../scripts/registries.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

const { makeDirectory, ocibundle, shared } = workbench();
const origin = shared(startEmbeddedRegistry);
const cache = shared(async (at) =>
  startDockerRegistry(at, { proxy: { remoteurl: `http://${(await origin()).address}` } }),
);

describe("docker-registry as a pull-through cache", () => {
  testWith(["docker-registry"], "gives a model to who knows no other way", async () => {
    const [{ address }, mirror] = [await origin(), await cache()];
    const cwd = await makeDirectory("model");
    await writeSampleImage(join(cwd, "image"), "v1", sampleLayers("print('hello')\n"));
    await ocibundle(["mock-weights", "-n", "2", "--min-size", "300kb", "--max-size", "12mb"], {
      cwd,
    });
    const push = ["push", `${address}/acme/model:v1`, "--image", "oci:image:v1"];
    await ocibundle([...push, "--weights", "weights"], { cwd });
    await writeFile(
      join(cwd, "config.yaml"),
      JSON.stringify({ registries: { "registry.invalid": { mirrors: [mirror.address] } } }),
    );
    const through = ["--config", "config.yaml", "--json"];
    for (const into of ["first", "second"]) {
      const model = "registry.invalid/acme/model:v1";
      await ocibundle(["pull", model, "-o", into, "--no-cache", ...through], { cwd });
      const said = await ocibundle(["verify", "weights.lock", "--dir", into, "--json"], { cwd });
      expect(JSON.parse(said)).toMatchObject({ problems: [], checked: { items: 2 } });
    }
  });
});

describe("doctor", () => {
  const plain = shared((at) => startDockerRegistry(at));

  testWith(["docker-registry"], "finds out what docker-registry can do", async () => {
    const { address } = await plain();
    const said = await ocibundle(["doctor", `${address}/acme/model`, "--size", "2mb", "--json"]);
    const { checks, left } = JSON.parse(said) as {
      checks: { check: string; result: string; reason?: string }[];
      left: unknown[];
    };
    const lacking = checks.filter(({ result }) => result !== "yes").map(({ check }) => check);
    expect(lacking).toEqual(["login", "resume", "referrers", "delete-tag"]);
    // Distribution ends an upload of which a request broke.
    expect(checks.find(({ check }) => check === "resume")?.reason).toBe(
      "an interrupted upload is lost",
    );
    expect(left).toEqual([]);
  });
});
