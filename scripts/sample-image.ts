import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { create } from "tar";
import { tinyProgram } from "./tiny-program.ts";

/** Path in the image to content; a path below `bin/` is made executable. */
export type Files = Record<string, string | Uint8Array>;

/** The layers of a small image that runs: a program below, the model's code on top. */
export function sampleLayers(code: string): Files[] {
  return [
    {
      "bin/predict": tinyProgram("Hello from a model\n"),
      "etc/os-release": 'ID=sample\nPRETTY_NAME="A sample image"\n',
    },
    { "src/predict.py": code, "src/requirements.txt": "torch==2.9.0\n" },
  ];
}

export interface SampleOptions {
  /** `os/architecture[/variant]`. With several, the tag stands for an index of them. */
  platforms?: readonly string[];
  /** Adds what builders add for each image: an entry of platform unknown/unknown. */
  attestation?: boolean;
  /** What its config says of when it was made. */
  created?: string;
}

/**
 * Writes an image of these layers as a new OCI layout under `directory` (image-spec v1.1,
 * image-layout.md), tagged `tag`, with a label. The same files give the same bytes.
 */
export async function writeSampleImage(
  directory: string,
  tag: string,
  layers: readonly Files[],
  {
    platforms = ["linux/amd64"],
    attestation = false,
    created = "2026-01-01T00:00:00Z",
  }: SampleOptions = {},
): Promise<void> {
  const blobs = join(directory, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (mediaType: string, bytes: Uint8Array) => {
    const digest = sha256(bytes);
    await writeFile(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const putJson = (mediaType: string, document: unknown) =>
    put(mediaType, new TextEncoder().encode(JSON.stringify(document)));
  const putManifest = (config: unknown, layerBlobs: unknown) =>
    putJson(manifestType, {
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: layerBlobs,
    });

  const tars = await Promise.all(layers.map(tarOf));
  const layerBlobs = await Promise.all(
    tars.map((tar) => put("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar))),
  );
  const images = await Promise.all(
    platforms.map(async (platform) => {
      const [os, architecture, variant] = platform.split("/");
      const where = { os, architecture, ...(variant === undefined ? {} : { variant }) };
      const config = await putJson("application/vnd.oci.image.config.v1+json", {
        created,
        ...where,
        config: {
          Entrypoint: ["/bin/predict"],
          WorkingDir: "/src",
          Labels: { "org.opencontainers.image.title": "sample" },
        },
        rootfs: { type: "layers", diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) },
        history: tars.map((_, index) => ({ created_by: `sample layer ${index}` })),
      });
      return { ...(await putManifest(config, layerBlobs)), platform: where };
    }),
  );
  const [first] = images;
  const entries: Entry[] = [...images];
  if (attestation) {
    const statement = await putJson("application/vnd.in-toto+json", { subject: first?.digest });
    const config = await putJson("application/vnd.oci.image.config.v1+json", {
      os: "unknown",
      architecture: "unknown",
      rootfs: { type: "layers", diff_ids: [statement.digest] },
    });
    const entry = {
      ...(await putManifest(config, [statement])),
      platform: { os: "unknown", architecture: "unknown" },
      annotations: {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": first?.digest ?? "",
      },
    };
    entries.push(entry);
  }
  const root =
    entries.length === 1
      ? first
      : await putJson(indexType, { schemaVersion: 2, mediaType: indexType, manifests: entries });
  const annotations = { "org.opencontainers.image.ref.name": tag };
  const index = {
    schemaVersion: 2,
    mediaType: indexType,
    manifests: [{ ...root, annotations }],
  };
  await writeFile(join(directory, "index.json"), JSON.stringify(index));
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

interface Entry {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";

/** A tar of the files, the same bytes whenever and wherever it is made. */
export async function tarOf(files: Files): Promise<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), "ocibundle-layer-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content);
      await chmod(join(directory, path), path.startsWith("bin/") ? 0o755 : 0o644);
    }
    const options = { cwd: directory, portable: true, mtime: new Date(0), sync: true } as const;
    return create(options, Object.keys(files)).read() ?? new Uint8Array();
  } finally {
    await rm(directory, { recursive: true });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
