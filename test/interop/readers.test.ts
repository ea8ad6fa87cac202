import { describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findPart } from "../../scripts/parts.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";

/** What ocibundle pushed, read and copied by crane, oras and regctl. */
const { makeDirectory, ocibundle, run, shared } = workbench();

interface Reader {
  name: "crane" | "oras" | "regctl";
  /** Prints a manifest as it is. */
  manifest(host: string, reference: string): string[];
  /** Prints a blob as it is. */
  blob(host: string, repository: string, digest: string): string[];
  /** Copies an index with all that it lists. */
  copy(host: string, from: string, to: string): string[];
}

const readers: Reader[] = [
  {
    name: "crane",
    manifest: (host, reference) => ["manifest", "--insecure", `${host}/${reference}`],
    blob: (host, repository, digest) => ["blob", "--insecure", `${host}/${repository}@${digest}`],
    copy: (host, from, to) => ["copy", "--insecure", `${host}/${from}`, `${host}/${to}`],
  },
  {
    name: "oras",
    manifest: (host, reference) => ["manifest", "fetch", "--plain-http", `${host}/${reference}`],
    blob: (host, repository, digest) => {
      const flags = ["--plain-http", "--output", "-"];
      return ["blob", "fetch", ...flags, `${host}/${repository}@${digest}`];
    },
    copy: (host, from, to) => {
      const flags = ["--recursive", "--from-plain-http", "--to-plain-http"];
      return ["cp", ...flags, `${host}/${from}`, `${host}/${to}`];
    },
  },
  {
    name: "regctl",
    manifest: (host, reference) => [
      ...plain(host),
      "manifest",
      "get",
      "--format",
      "raw-body",
      `${host}/${reference}`,
    ],
    blob: (host, repository, digest) => [
      ...plain(host),
      "blob",
      "get",
      `${host}/${repository}`,
      digest,
    ],
    copy: (host, from, to) => [
      ...plain(host),
      "image",
      "copy",
      "--referrers",
      `${host}/${from}`,
      `${host}/${to}`,
    ],
  },
];

function plain(host: string): string[] {
  return ["--host", `reg=${host},tls=disabled`];
}

interface Index {
  manifests: { digest: string; artifactType?: string }[];
}
interface Artifact {
  layers: { digest: string; annotations?: Record<string, string> }[];
}

describe.each(realRegistries)("a model pushed to $name", ({ parts, start }) => {
  const registry = shared(start);
  const model = shared(async (cwd) => {
    const { address } = await registry();
    await writeSampleImage(join(cwd, "image"), "v1", sampleLayers("print('read')\n"));
    const sizes = ["-n", "2", "--min-size", "300kb", "--max-size", "2mb"];
    await ocibundle(["mock-weights", ...sizes], { cwd });
    const push = ["push", `${address}/acme/read:v1`, "--image", "oci:image:v1", "--json"];
    const said = JSON.parse(await ocibundle([...push, "--weights", "weights"], { cwd })) as {
      model: { digest: string };
    };
    return { cwd, digest: said.model.digest, stop: () => Promise.resolve() };
  });

  for (const reader of readers) {
    testWith([...parts, reader.name], `is what ${reader.name} reads and copies`, async () => {
      const { address } = await registry();
      const { cwd, digest } = await model();
      const program = findPart(reader.name) ?? reader.name;
      const read = (args: readonly string[]) => run([program, ...args]);

      const index = await read(reader.manifest(address, "acme/read:v1"));
      expect(digestOf(new TextEncoder().encode(index))).toBe(digest as `sha256:${string}`);
      const entry = (JSON.parse(index) as Index).manifests.find(
        ({ artifactType }) => artifactType !== undefined,
      );
      const artifact = JSON.parse(
        await read(reader.manifest(address, `acme/read@${entry?.digest}`)),
      ) as Artifact;
      expect(artifact.layers).toHaveLength(2);
      for (const { digest: layer, annotations } of artifact.layers) {
        const copy = join(await makeDirectory("blob"), "weight");
        const command = [program, ...reader.blob(address, "acme/read", layer)];
        await run(["sh", "-c", `out=$1; shift; "$@" >"$out"`, "sh", copy, ...command]);
        const name = annotations?.["vnd.cog.weights.dest"]?.split("/").pop() ?? "";
        expect(readFileSync(copy).equals(readFileSync(join(cwd, "weights", name)))).toBe(true);
      }

      const to = `acme/by-${reader.name}:v1`;
      await read(reader.copy(address, "acme/read:v1", to));
      const into = await makeDirectory("models");
      await ocibundle(["verify", `${address}/${to}`]);
      await ocibundle(["pull", `${address}/${to}`, "-o", into, "--no-cache"]);
      await ocibundle(["verify", join(cwd, "weights.lock"), "--dir", into]);
      const inspected = await ocibundle(["inspect", `${address}/${to}`, "--json"]);
      expect((JSON.parse(inspected) as { digest: string }).digest).toBe(digest);
    });
  }
});
