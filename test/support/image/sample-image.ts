import { digestHex, digestOf } from "../../../src/oci/digest.ts";
import { tarBytes, type TestEntry } from "../store/tar-bytes.ts";

/** An image's parts as an engine holds them: config and plain layers. */
export interface SampleImage {
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
  readonly name: string;
}

/** A layer's tar with one file of `size` bytes that do not compress to nothing. */
export const sampleLayer = (seed: string, size = 10_000): Buffer =>
  tarBytes({ name: `files/${seed}`, content: seed.repeat(Math.ceil(size / seed.length)) });

export function sampleImage(layers: readonly Buffer[], name = "acme/app:dev"): SampleImage {
  const config = Buffer.from(
    JSON.stringify({
      architecture: "arm64",
      os: "linux",
      variant: "v8",
      config: { Labels: { "org.example": "yes" } },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(layer)) },
    }),
  );
  return { config, layers, name };
}

const hexOf = (bytes: Uint8Array): string => digestHex(digestOf(bytes));

const dockerManifest = (image: SampleImage, config: string, layers: string[]): TestEntry => ({
  name: "manifest.json",
  content: JSON.stringify([{ Config: config, RepoTags: [image.name], Layers: layers }]),
});

/** As Docker before 25 saves: directories named by other IDs, a layer that comes again as a link. */
export function legacyExport(image: SampleImage): TestEntry[] {
  const seen = new Map<string, string>();
  const files: string[] = [];
  const entries = image.layers.flatMap((layer, at): TestEntry[] => {
    const id = hexOf(Buffer.from(`chain ${at}`));
    const first = seen.get(hexOf(layer));
    seen.set(hexOf(layer), first ?? id);
    files.push(`${id}/layer.tar`);
    return [
      { name: `${id}/`, type: "Directory" },
      { name: `${id}/VERSION`, content: "1.0" },
      { name: `${id}/json`, content: `{"id":"${id}"}` },
      first === undefined
        ? { name: `${id}/layer.tar`, content: layer }
        : { name: `${id}/layer.tar`, type: "SymbolicLink", target: `../${first}/layer.tar` },
    ];
  });
  const config = `${hexOf(image.config)}.json`;
  return [
    ...entries,
    { name: config, content: image.config },
    dockerManifest(image, config, files),
    { name: "repositories", content: "{}" },
  ];
}

const blobName = (bytes: Uint8Array): string => `blobs/sha256/${hexOf(bytes)}`;
const podmanName = (layer: Uint8Array): string => `${hexOf(layer)}.tar`;

/** As Docker since 25 saves: an OCI layout with a `manifest.json`, every blob under its digest. */
export function modernExport(image: SampleImage): TestEntry[] {
  const blobs = new Map([image.config, ...image.layers].map((bytes) => [hexOf(bytes), bytes]));
  return [
    { name: "blobs/", type: "Directory" },
    { name: "blobs/sha256/", type: "Directory" },
    ...[...blobs]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([hex, content]): TestEntry => ({ name: `blobs/sha256/${hex}`, content })),
    { name: "index.json", content: '{"schemaVersion":2,"manifests":[]}' },
    dockerManifest(image, blobName(image.config), image.layers.map(blobName)),
    { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
  ];
}

/** As Podman and skopeo save: layers named by diff ID, before everything else. */
function podmanExport(image: SampleImage): TestEntry[] {
  const layers = new Map(image.layers.map((layer) => [podmanName(layer), layer]));
  const config = `${hexOf(image.config)}.json`;
  return [
    ...[...layers].map(([name, content]): TestEntry => ({ name, content })),
    { name: config, content: image.config },
    ...image.layers.map((layer, at): TestEntry => ({
      name: `${hexOf(Buffer.from(`chain ${at}`))}/layer.tar`,
      type: "SymbolicLink",
      target: `../${podmanName(layer)}`,
    })),
    dockerManifest(image, config, image.layers.map(podmanName)),
  ];
}

/** An image with one layer twice. */
export const repeatedLayer = sampleLayer("shared");
export const imageWithRepeatedLayer = sampleImage([
  sampleLayer("base", 1_300_000),
  repeatedLayer,
  sampleLayer("code"),
  repeatedLayer,
]);

/** What engines save an image as. */
export const exportShapes = {
  "Docker before 25": legacyExport,
  "Docker since 25": modernExport,
  Podman: podmanExport,
};
