import { describe, expect } from "bun:test";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startDockerRegistry, startEmbeddedRegistry } from "../../scripts/registries.ts";
import { sampleLayers, tarOf, writeSampleImage } from "../../scripts/sample-image.ts";
import { startContainerd, startDockerd } from "../support/programs/engines.ts";
import { type Part, testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** What ocibundle pushed, read by programs that know nothing of it. */
const { makeDirectory, ocibundle, run, shared } = workbench();
const dockerd = shared(startDockerd);
const containerd = shared(startContainerd);

interface Index {
  manifests: {
    digest: string;
    artifactType?: string;
    platform?: { os: string; architecture: string };
    annotations?: Record<string, string>;
  }[];
}
/** Of what `inspect` and `push` say with `--json`. */
interface Inspected {
  digest: string;
  images: { digest: string }[];
  weights: { digest: string } | null;
}
interface Manifest {
  config: { digest: string };
  layers: { digest: string; size: number; annotations?: Record<string, string> }[];
}

/** A model of a sample image and two weight files, and what is known of it before it is pushed. */
async function sampleModel(code: string) {
  const cwd = await makeDirectory("model");
  await writeSampleImage(join(cwd, "image"), "v1", sampleLayers(code));
  await ocibundle(["mock-weights", "-n", "2", "--min-size", "300kb", "--max-size", "2mb"], { cwd });
  const { manifests } = JSON.parse(await readFile(join(cwd, "image/index.json"), "utf8")) as Index;
  return { cwd, imageDigest: manifests[0]?.digest };
}

function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

const registries: { name: string; parts: Part[]; start: typeof startDockerRegistry }[] = [
  { name: "docker-registry", parts: ["docker-registry"], start: startDockerRegistry },
  { name: "the embedded registry", parts: [], start: (at: string) => startEmbeddedRegistry(at) },
];

describe.each(registries)("a model pushed to $name", ({ parts, start }) => {
  const registry = shared(start);

  /** Pushes a model of its own, so that no test depends on another. */
  async function pushed(name: string) {
    const { address } = await registry();
    const { cwd, imageDigest } = await sampleModel(`print("${name}")\n`);
    const reference = `${address}/interop/${name}:v1`;
    const push = ["push", reference, "--image", "oci:image:v1", "--weights", "weights", "--json"];
    const { model } = JSON.parse(await ocibundle(push, { cwd })) as { model: Inspected };
    return {
      cwd,
      reference,
      imageDigest,
      digest: model.digest,
      weightsDigest: model.weights?.digest ?? "",
    };
  }

  testWith([...parts, "skopeo"], "is what skopeo inspects, byte for byte", async () => {
    const { reference, digest, imageDigest } = await pushed("inspected");
    const raw = await run([
      "skopeo",
      "inspect",
      "--raw",
      "--tls-verify=false",
      `docker://${reference}`,
    ]);
    expect(sha256(raw)).toBe(digest);
    const [image, weights, ...others] = (JSON.parse(raw) as Index).manifests;
    expect(others).toEqual([]);
    expect(image).toMatchObject({
      digest: imageDigest,
      platform: { os: "linux", architecture: "amd64" },
    });
    expect(weights).toMatchObject({
      artifactType: "application/vnd.cog.weights.v1",
      platform: { os: "unknown", architecture: "unknown" },
      annotations: {
        "vnd.cog.reference.type": "weights",
        "vnd.cog.reference.digest": String(imageDigest),
      },
    });
  });

  testWith(
    [...parts, "skopeo"],
    "of a hundred files is there, whether it takes a blob in one POST or not",
    async () => {
      const { address } = await registry();
      const cwd = await makeDirectory("many");
      await ocibundle(["mock-weights", "-n", "100", "--min-size", "1kb", "--max-size", "200kb"], {
        cwd,
      });
      const reference = `${address}/interop/many:v1`;
      await ocibundle(["push", reference, "--weights", "weights"], { cwd });
      const raw = await run([
        "skopeo",
        "inspect",
        "--raw",
        "--tls-verify=false",
        `docker://${reference}`,
      ]);
      expect(raw).toContain("application/vnd.cog.weights");
      // Reads every blob.
      await ocibundle(["verify", reference]);
      const again = JSON.parse(
        await ocibundle(["push", reference, "--weights", "weights", "--json"], { cwd }),
      ) as {
        sent: { blobs: number };
      };
      expect(again.sent.blobs).toBe(0);
    },
  );

  testWith([...parts, "skopeo"], "is copied whole by skopeo, every weight file in it", async () => {
    const { cwd, reference, imageDigest, weightsDigest } = await pushed("copied");
    const copy = await makeDirectory("copy");
    await run([
      "skopeo",
      "copy",
      "--all",
      "--src-tls-verify=false",
      `docker://${reference}`,
      `oci:${copy}:v1`,
    ]);
    const blob = (hex: string) => readFile(join(copy, "blobs", hex.replace(":", "/")));
    // skopeo writes the index anew, without the fields it does not know; what it binds is as it was.
    const inspected = JSON.parse(
      await ocibundle(["inspect", `oci:${copy}:v1`, "--json"]),
    ) as Inspected;
    expect(inspected.images).toMatchObject([{ digest: imageDigest }]);
    expect(inspected.weights?.digest).toBe(weightsDigest);
    const weights = JSON.parse(String(await blob(weightsDigest))) as Manifest;
    expect(weights.layers).toHaveLength(2);
    for (const { digest: layer, annotations } of weights.layers) {
      const dest = annotations?.["vnd.cog.weights.dest"] ?? "";
      const file = await readFile(join(cwd, "weights", dest.slice(dest.lastIndexOf("/") + 1)));
      expect(sha256(file)).toBe(layer);
      expect(sha256(await blob(layer))).toBe(layer);
    }
  });

  testWith(
    [...parts, "dockerd", "docker"],
    "is pulled by a Docker engine as its image",
    async () => {
      const { reference, cwd, imageDigest } = await pushed("docker-pulled");
      const env = { DOCKER_HOST: `unix://${(await dockerd()).socket}` };
      await run(["docker", "pull", "--quiet", reference], { env });
      const format = '{{.Id}} {{index .Config.Labels "org.opencontainers.image.title"}}';
      const image = await run(["docker", "image", "inspect", "--format", format, reference], {
        env,
      });
      const manifest = await readFile(
        join(cwd, "image/blobs", String(imageDigest).replace(":", "/")),
        "utf8",
      );
      expect(image.trim()).toBe(`${(JSON.parse(manifest) as Manifest).config.digest} sample`);
    },
  );

  testWith([...parts, "containerd", "ctr"], "is pulled by containerd as its image", async () => {
    const { reference, digest } = await pushed("containerd-pulled");
    const ctr = ["ctr", "--address", (await containerd()).socket] as const;
    await run([...ctr, "images", "pull", "--plain-http", "--snapshotter=native", reference]);
    const listed = await run([...ctr, "images", "list", `name==${reference}`]);
    expect(listed).toContain(digest);
    expect(listed).toContain("linux/amd64");
  });

  testWith(
    [...parts, "dockerd", "docker"],
    "keeps the diff IDs of an image that a Docker engine made",
    async () => {
      const { address } = await registry();
      const env = { DOCKER_HOST: `unix://${(await dockerd()).socket}` };
      const cwd = await makeDirectory("imported");
      const [files = {}] = sampleLayers("");
      await writeFile(join(cwd, "root.tar"), await tarOf(files));
      await run(["docker", "import", "--message", "x", join(cwd, "root.tar"), "made/here:v1"], {
        env,
      });
      const format = ["--format", "{{json .RootFS.Layers}}"];
      const made = await run(["docker", "image", "inspect", ...format, "made/here:v1"], { env });

      const reference = `${address}/interop/from-engine:v1`;
      await ocibundle(["push", reference, "--image", "docker-daemon:made/here:v1"], { cwd, env });
      await run(["docker", "image", "rm", "made/here:v1"], { env });
      await run(["docker", "pull", "--quiet", reference], { env });
      const back = await run(["docker", "image", "inspect", ...format, reference], { env });
      expect(JSON.parse(back)).toEqual(JSON.parse(made));
    },
  );
});
