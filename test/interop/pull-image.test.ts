import { describe, expect } from "bun:test";
import { join } from "node:path";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { startDockerd } from "../support/programs/engines.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** The image of a model, pulled into a real engine. */
const { makeDirectory, run, ocibundle, shared } = workbench();
const dockerd = shared(startDockerd);

describe("pull --image docker-daemon:", () => {
  testWith(
    ["dockerd", "docker"],
    "an engine has the image of a model, whole and by its name",
    async () => {
      const cwd = await makeDirectory("pull-image");
      await writeSampleImage(join(cwd, "layout"), "v1", sampleLayers('print("pulled")\n'), {
        platforms: ["linux/amd64", "linux/arm64"],
      });
      const env = { DOCKER_HOST: `unix://${(await dockerd()).socket}` };
      const docker = (...args: string[]) => run(["docker", ...args], { cwd, env });
      const pull = (platform: string, name: string) =>
        ocibundle(
          ["pull", "oci:layout:v1", "--image", `docker-daemon:${name}`, "--platform", platform],
          {
            cwd,
            env,
          },
        );
      expect(await pull("linux/arm64", "acme/llama:v1")).toMatch(
        /image +linux\/arm64 .* written\n$/s,
      );

      const inspected = JSON.parse(await docker("image", "inspect", "acme/llama:v1"))[0];
      expect(inspected.Architecture).toBe("arm64");
      expect(inspected.RepoTags).toEqual(["acme/llama:v1"]);
      const original = JSON.parse(
        await ocibundle(["inspect", "oci:layout:v1", "--json"], { cwd }),
      ) as { images: { platform: string; layers: unknown[] }[] };
      const image = original.images.find(({ platform }) => platform === "linux/arm64");
      expect(inspected.RootFS.Layers.length).toBe(image?.layers.length);

      // Again, and under another name: nothing is sent.
      expect(await pull("linux/arm64", "acme/llama:v1")).toMatch(/: 0 B written, .* up to date\n$/);
      expect(await pull("linux/arm64", "registry.example.com/acme/other:v2")).toMatch(
        /: 0 B written/,
      );
      const again = JSON.parse(await docker("image", "inspect", "acme/llama:v1"))[0];
      expect(again.RepoTags.toSorted()).toEqual([
        "acme/llama:v1",
        "registry.example.com/acme/other:v2",
      ]);

      // What runs in it is what was in the layers.
      await docker("create", "--name", "pulled", "--platform", "linux/arm64", "acme/llama:v1", "x");
      expect(await docker("cp", "pulled:/src/predict.py", "-")).toContain('print("pulled")');
    },
  );
});
