import { join } from "node:path";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import type { RawManifest } from "../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { createLayout, type OciLayout } from "../../../src/store/layout/layout-writer.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

export const signal = new AbortController().signal;

/** A layout of one's own, and short ways to put things into it. */
export interface LayoutBench {
  directory: string;
  layout: OciLayout;
  blob(content: string, mediaType?: string): Promise<Descriptor>;
  /** Writes a document as a manifest of its `mediaType`. */
  manifest(document: { mediaType: string; [member: string]: unknown }): Promise<RawManifest>;
  /** An image manifest over a config of this platform and layers of these contents. */
  image(platform: Platform, ...layers: string[]): Promise<RawManifest>;
  index(...manifests: object[]): Promise<RawManifest>;
}

interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

export async function layoutBench(): Promise<LayoutBench> {
  const directory = join(await temporaryDirectory(), "layout");
  const layout = await createLayout(directory, signal, "oci:layout");
  const bench: LayoutBench = {
    directory,
    layout,
    async blob(content, mediaType = mediaTypes.ociLayer) {
      const bytes = new TextEncoder().encode(content);
      const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
      const source = async () => ({ kind: "bytes", bytes }) as const;
      await layout.writeBlob({ descriptor, label: "blob", group: "image", source }, { signal });
      return descriptor;
    },
    async manifest(document) {
      const bytes = new TextEncoder().encode(JSON.stringify(document));
      const { mediaType } = document;
      const manifest = { mediaType, digest: digestOf(bytes), bytes };
      await layout.writeManifest(manifest, undefined, signal);
      return manifest;
    },
    async image(platform, ...layers) {
      const config = {
        ...platform,
        rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(layer)) },
      };
      return bench.manifest({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: await bench.blob(JSON.stringify(config), mediaTypes.ociConfig),
        layers: await Promise.all(layers.map((layer) => bench.blob(layer))),
      });
    },
    index: (...manifests) =>
      bench.manifest({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }),
  };
  return bench;
}

/** The weights artifact of one file, as Cog writes it (without an artifact type) or as it is written here. */
export async function weightsOf(
  { manifest, blob }: LayoutBench,
  name: string,
  artifactType?: string,
): Promise<RawManifest> {
  const layer = await blob(`weights ${name}`, "application/vnd.cog.weights.layer.v1");
  return manifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    ...(artifactType === undefined ? {} : { artifactType }),
    config: await blob("{}", mediaTypes.dockerConfig),
    layers: [
      {
        ...layer,
        annotations: {
          "vnd.cog.weights.name": name,
          "vnd.cog.weights.dest": `/src/weights/${name}`,
          "vnd.cog.weights.digest.original": layer.digest,
          "vnd.cog.weights.size.uncompressed": String(layer.size),
        },
      },
    ],
  });
}

/** The descriptor of a manifest, with what an index says besides. */
export const entryOf = (
  { mediaType, digest, bytes }: RawManifest,
  more: Partial<Descriptor> = {},
): Descriptor => ({ mediaType, digest, size: bytes.byteLength, ...more });

export const amd64 = Object.freeze({ os: "linux", architecture: "amd64" });
export const arm64 = Object.freeze({ os: "linux", architecture: "arm64" });
/** What the descriptor of an attestation has for a platform. */
export const unknownPlatform = Object.freeze({ os: "unknown", architecture: "unknown" });
