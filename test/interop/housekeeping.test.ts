import { describe, expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startDockerRegistry } from "../../scripts/registries.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";

const { makeDirectory, ocibundle, shared } = workbench();

/** Three versions, a month apart, each with something attached. */
async function pushVersions(cwd: string, repository: string): Promise<void> {
  await writeFile(join(cwd, "sbom.json"), "{}");
  for (const month of [1, 2, 3]) {
    const created = `2026-0${month}-01T00:00:00Z`;
    const layers = sampleLayers(`print(${month})\n`);
    await writeSampleImage(join(cwd, `image${month}`), "x", layers, { created });
    const version = `${repository}:v${month}`;
    await ocibundle(["push", version, "--image", `oci:image${month}:x`], { cwd });
    await ocibundle(["attach", version, "sbom.json", "--type", "application/spdx+json"], { cwd });
  }
}

const tagsOf = async (repository: string): Promise<string[]> => {
  const text = await ocibundle(["ls", repository, "--json"]);
  const { tags } = JSON.parse(text) as { tags: { tag: string }[] };
  return tags.map(({ tag }) => tag).toSorted();
};

describe.each(realRegistries.filter(({ name }) => !name.startsWith("crane")))(
  "housekeeping at $name",
  ({ parts, start }) => {
    const registry = shared(start);

    testWith(parts, "lists, tags, prunes and deletes, and what is kept stays whole", async () => {
      const { address } = await registry();
      const repository = `${address}/acme/kept`;
      const cwd = await makeDirectory("kept");
      await pushVersions(cwd, repository);
      await ocibundle(["tag", `${repository}:v1`, "old"]);
      expect(await tagsOf(repository)).toEqual(["old", "v1", "v2", "v3"]);
      await ocibundle(["prune", repository, "--keep-last", "2"]);
      expect(await tagsOf(repository)).toEqual(["v2", "v3"]);
      for (const version of ["v2", "v3"]) {
        await ocibundle(["verify", `${repository}:${version}`]);
        expect(await ocibundle(["referrers", `${repository}:${version}`])).toContain("─ sbom ");
      }
      await ocibundle(["rm", "--digest", `${repository}:v2`, "--yes"]);
      expect(await tagsOf(repository)).toEqual(["v3"]);
      expect(await ocibundle(["ls", address])).toContain("acme/kept\n");
    });
  },
);

describe("a docker-registry in which deletion is disabled", () => {
  const registry = shared((at) => startDockerRegistry(at, { deletes: false }));

  testWith(["docker-registry"], "keeps everything, and says so", async () => {
    const { address } = await registry();
    const repository = `${address}/acme/kept`;
    await pushVersions(await makeDirectory("disabled"), repository);
    const refused = /the registry does not delete (?:tags|manifests) \(405 /;
    await expect(ocibundle(["prune", repository, "--keep-last", "1"])).rejects.toThrow(refused);
    await expect(ocibundle(["rm", `${repository}:v1`, "--yes"])).rejects.toThrow(refused);
    expect(await tagsOf(repository)).toEqual(["v1", "v2", "v3"]);
  });
});
