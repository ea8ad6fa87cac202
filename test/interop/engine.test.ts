import { describe, expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { openImage } from "../../src/image/open.ts";
import { parseImageSource } from "../../src/image/source/source.ts";
import type { ImageSource, OpenImageOptions } from "../../src/image/conversion/types.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestHex } from "../../src/oci/digest.ts";
import { parseDocument } from "../../src/oci/document.ts";
import {
  ImageConfigSchema,
  ImageManifestSchema,
  type RawManifest,
} from "../../src/oci/manifest.ts";
import { createLayoutArchive } from "../../src/store/archive/writer.ts";
import { createLayout } from "../../src/store/layout/layout-writer.ts";
import { readSmallBlob } from "../../src/store/small-blob.ts";
import { startDockerd } from "../support/programs/engines.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Images as real engines and tools hold and save them, read here; and what is written here, read by them. */
const { makeDirectory, run, shared } = workbench();
const dockerd = shared(startDockerd);
const { signal } = new AbortController();

interface Opened extends ImageSource {
  diffIds: string[];
  config: Descriptor;
  layers: Descriptor[];
}

async function opened(
  source: string,
  cwd: string,
  options: Partial<OpenImageOptions> = {},
): Promise<Opened> {
  const image = await openImage(parseImageSource(source), {
    signal,
    env: {},
    cwd,
    tempDir: join(cwd, "temp"),
    registryReader: () => {
      throw new Error("no registry is to be asked");
    },
    ...options,
  });
  const { config, layers } = parseDocument(image.root.bytes, ImageManifestSchema, "manifest");
  const bytes = await readSmallBlob(image.reader, config, signal);
  const { rootfs } = parseDocument(bytes, ImageConfigSchema, "config");
  return { ...image, config, layers, diffIds: rootfs?.diff_ids ?? [] };
}

/** A sample image as a layout, and loaded into the engine by another tool. */
async function loaded(code: string) {
  const cwd = await makeDirectory("image");
  await writeSampleImage(join(cwd, "layout"), "v1", sampleLayers(code));
  const { socket } = await dockerd();
  const env = { DOCKER_HOST: `unix://${socket}` };
  const name = "acme/llama:v1";
  await copy(
    ["--dest-daemon-host", env.DOCKER_HOST],
    "oci:layout:v1",
    `docker-daemon:${name}`,
    cwd,
  );
  return { cwd, env, name, original: await opened("oci:layout:v1", cwd) };
}

const copy = (flags: readonly string[], from: string, to: string, cwd: string) =>
  run(["skopeo", "--insecure-policy", "copy", "-q", ...flags, from, to], { cwd });

async function writeEverything(
  { reader, root, config, layers }: Opened,
  writer:
    | Awaited<ReturnType<typeof createLayout>>
    | Awaited<ReturnType<typeof createLayoutArchive>>,
): Promise<void> {
  for (const descriptor of [config, ...layers]) {
    const source = (): ReturnType<typeof reader.blobSource> =>
      reader.blobSource(descriptor, signal);
    await writer.writeBlob(
      { descriptor, label: descriptor.digest, group: "image", source },
      { signal },
    );
  }
  await writer.writeManifest(root, "v1", signal);
}

describe("a Docker engine's image", () => {
  testWith(["dockerd", "skopeo"], "keeps its config and its layers' diff IDs", async () => {
    const { cwd, env, name, original } = await loaded("one");
    const image = await opened(`docker-daemon:${name}`, cwd, { env });
    expect(image.config.digest).toBe(original.config.digest);
    expect(image.diffIds).toEqual(original.diffIds);
    for (const source of [name, `docker-daemon:${image.config.digest}`]) {
      const again = await opened(source, cwd, { env });
      expect(again.root.digest).toBe(image.root.digest);
      await again.close();
    }
    await image.close();
  });

  testWith(["dockerd", "skopeo"], "is not exported when nothing of it changed", async () => {
    const { cwd, env, name } = await loaded("two");
    const layers = new Map<Digest, Descriptor>();
    const configs = new Map<Digest, Uint8Array>();
    const phases: string[] = [];
    const known: Partial<OpenImageOptions> = {
      env,
      knownLayers: {
        find: async (diffId) => layers.get(diffId),
        record: (diffId, descriptor) => void layers.set(diffId, descriptor),
      },
      configs: {
        find: async (digest) => configs.get(digest),
        record: async (digest, bytes) => void configs.set(digest, bytes),
      },
      emit: (event) => {
        if (event.type === "phase") phases.push(event.phase);
      },
    };
    const first = await opened(`docker-daemon:${name}`, cwd, known);
    expect(phases).toEqual(["export"]);
    await first.close();
    const second = await opened(`docker-daemon:${name}`, cwd, known);
    expect(phases).toEqual(["export"]);
    expect(second.root.digest).toBe(first.root.digest);
    await second.close();
  });

  testWith(
    ["dockerd", "docker", "skopeo"],
    "is the same from what docker and skopeo save of it",
    async () => {
      const { cwd, env, name } = await loaded("three");
      await run(["docker", "save", "-o", join(cwd, "docker.tar"), name], { cwd, env });
      const flags = ["--src-daemon-host", env.DOCKER_HOST];
      await copy(flags, `docker-daemon:${name}`, `docker-archive:skopeo.tar:${name}`, cwd);
      const image = await opened(`docker-daemon:${name}`, cwd, { env });
      for (const file of ["docker.tar", "skopeo.tar"]) {
        const saved = await opened(`docker-archive:${file}:acme/llama:v1`, cwd);
        expect(saved.root.digest).toBe(image.root.digest);
        await saved.close();
      }
      await image.close();
    },
  );

  testWith(["dockerd", "skopeo"], "that is missing is named with its engine", async () => {
    const { cwd, env } = await loaded("four");
    await expect(opened("docker-daemon:acme/none:v1", cwd, { env })).rejects.toMatchObject({
      code: "not_found",
      message: `engine at ${env.DOCKER_HOST} (DOCKER_HOST): no image "acme/none:v1"`,
    });
  });

  testWith(["dockerd", "skopeo"], "written to a layout is what skopeo loads again", async () => {
    const { cwd, env, name, original } = await loaded("five");
    const image = await opened(`docker-daemon:${name}`, cwd, { env });
    await writeEverything(image, await createLayout(join(cwd, "out"), signal));
    const archive = await createLayoutArchive(join(cwd, "out.tar"));
    await writeEverything(image, archive);
    await archive.commit(signal);
    await image.close();
    for (const source of ["oci:out:v1", "oci-archive:out.tar:v1"]) {
      const flags = ["--dest-daemon-host", env.DOCKER_HOST];
      await copy(flags, source, "docker-daemon:acme/back:v1", cwd);
      const back = await opened("docker-daemon:acme/back:v1", cwd, { env });
      expect(back.config.digest).toBe(original.config.digest);
      await back.close();
    }
  });
});

describe("a layout that skopeo wrote", () => {
  testWith(["skopeo"], "is read as it is, as a directory and as an archive", async () => {
    const cwd = await makeDirectory("skopeo");
    const platforms = ["linux/amd64", "linux/arm64/v8", "windows/amd64"];
    const layers = sampleLayers("six");
    await writeSampleImage(join(cwd, "layout"), "v1", layers, { platforms, attestation: true });
    const original = await rootOf("oci:layout:v1", cwd);
    for (const target of ["oci:copied:v1", "oci-archive:copied.tar:v1"]) {
      await copy(["--all"], "oci:layout:v1", target, cwd);
      expect((await rootOf(target, cwd)).digest).toBe(original.digest);
      // The only one there is needs no tag.
      expect((await rootOf(target.replace(/:v1$/, ""), cwd)).digest).toBe(original.digest);
    }
  });

  testWith(["skopeo"], "keeps what it lists beside what is written to it", async () => {
    const cwd = await makeDirectory("skopeo");
    await writeSampleImage(join(cwd, "layout"), "v1", sampleLayers("seven"));
    await copy([], "oci:layout:v1", "oci:copied:theirs", cwd);
    const image = await opened("oci:layout:v1", cwd);
    await writeEverything(image, await createLayout(join(cwd, "copied"), signal));
    for (const tag of ["theirs", "v1"]) {
      const raw = await run(["skopeo", "inspect", "--raw", `oci:copied:${tag}`], { cwd });
      expect(raw).toBe(Buffer.from(image.root.bytes).toString());
    }
    const blob = join(cwd, "copied", "blobs", "sha256", digestHex(image.root.digest));
    expect(Buffer.compare(await readFile(blob), Buffer.from(image.root.bytes))).toBe(0);
  });
});

async function rootOf(source: string, cwd: string): Promise<RawManifest> {
  const image = await openImage(parseImageSource(source), {
    signal,
    env: {},
    cwd,
    tempDir: join(cwd, "temp"),
    registryReader: () => {
      throw new Error("no registry is to be asked");
    },
  });
  await image.close();
  return image.root;
}
