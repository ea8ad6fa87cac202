import { Buffer } from "node:buffer";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, ContentReader } from "../../oci/content.ts";
import { type Digest, digestOf, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import type { Layer } from "./layer.ts";

/** An image that has been made from a config and layers, as `docker save` writes them. */
export interface ConvertedImage {
  reader: ContentReader;
  root: RawManifest;
}

/**
 * Puts an OCI image manifest (image-spec v1.1, manifest.md) over a config, its bytes untouched, and
 * its layers. The same image gives the same manifest each time.
 *
 * Throws `integrity` when the layers are not those of the config's `diffIds`.
 */
export function convertImage(
  name: string,
  config: Uint8Array,
  diffIds: readonly Digest[],
  layers: readonly Layer[],
): ConvertedImage {
  checkLayers(name, diffIds, layers);
  const configDescriptor = {
    mediaType: mediaTypes.ociConfig,
    digest: digestOf(config),
    size: config.byteLength,
  };
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: configDescriptor,
      layers: layers.map((layer) => layer.descriptor),
    }),
  );
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const sources = new Map<Digest, BlobSource | undefined>(
    layers.map(({ descriptor, source }) => [descriptor.digest, source]),
  );
  sources.set(configDescriptor.digest, { kind: "bytes", bytes: config });

  return {
    root,
    reader: {
      name,
      async readManifest(tagOrDigest, signal) {
        signal.throwIfAborted();
        if (tagOrDigest === root.digest) return root;
        throw new OcibundleError("not_found", `${name}: no manifest "${tagOrDigest}"`);
      },
      async hasBlob({ digest }, signal) {
        signal.throwIfAborted();
        return sources.get(digest) !== undefined;
      },
      async blobSource({ digest }, signal) {
        signal.throwIfAborted();
        const source = sources.get(digest);
        if (source !== undefined) return source;
        throw new OcibundleError(
          "not_found",
          sources.has(digest)
            ? `${name}: the registry no longer has layer ${shortDigest(digest)}`
            : `${name}: no blob ${shortDigest(digest)}`,
          { hint: sources.has(digest) ? "run the command again" : undefined },
        );
      },
    },
  };
}

function checkLayers(name: string, diffIds: readonly Digest[], layers: readonly Layer[]): void {
  if (layers.length !== diffIds.length) {
    throw new OcibundleError(
      "integrity",
      `${name}: ${layers.length} layers, but the image config lists ${diffIds.length}`,
    );
  }
  for (const [at, { diffId }] of layers.entries()) {
    const expected = diffIds[at];
    if (expected === undefined || expected === diffId) continue;
    throw new OcibundleError(
      "integrity",
      `${name}: layer ${at + 1} has the diff ID ${shortDigest(diffId)}, but the image config says ${shortDigest(expected)}`,
    );
  }
}
