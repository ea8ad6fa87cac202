import { Buffer } from "node:buffer";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { RawManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { createLayoutArchive } from "../../src/store/archive/writer.ts";
import { type DebianPackage, fetchDebianPackages } from "./debian.ts";
import type { Product } from "./documents.ts";
import { layerTar, type LayerEntry } from "./layer.ts";

export interface ImageOptions {
  product: Product;
  /** Of the sources. */
  commit: string | undefined;
  /** The binary for each architecture, as Docker calls it. */
  binaries: ReadonlyMap<string, string>;
  /** Has LICENSE and THIRD-PARTY-NOTICES.txt. */
  stage: string;
  /** Where apt keeps what it downloads. */
  packages: string;
  outfile: string;
  /** Of gzip. */
  level: number;
}

/** What the binary loads: the C library, and what that loads itself. The others have their licenses and the release. */
const packageNames = ["libc6", "libgcc-s1", "gcc-14-base", "ca-certificates", "base-files"];

/** Who the program runs as; the number that other images without a shell use. */
const user = 65_532;

interface ManifestDocument {
  mediaType: string;
  [member: string]: unknown;
}

const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";

/**
 * Writes the image of a release for all given architectures, as an archive of an OCI layout: two layers each, one
 * with what Debian has for it, and one with the program. The same files and packages make the same bytes.
 */
export async function writeImage(options: ImageOptions): Promise<void> {
  const { product, binaries, packages, outfile } = options;
  const { signal } = new AbortController();
  const archive = await createLayoutArchive(outfile);
  const put = async (mediaType: string, bytes: Uint8Array): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    const source = () => Promise.resolve({ kind: "bytes" as const, bytes });
    const blob = { descriptor, label: mediaType, group: "image", source };
    await archive.writeBlob(blob, { signal });
    return descriptor;
  };
  const putManifest = async (document: ManifestDocument, tag?: string) => {
    const bytes = json(document);
    const manifest: RawManifest = { mediaType: document.mediaType, digest: digestOf(bytes), bytes };
    await archive.writeManifest(manifest, tag, signal);
    return { mediaType: manifest.mediaType, digest: manifest.digest, size: bytes.length };
  };
  const annotations = {
    "org.opencontainers.image.created": product.time.toISOString(),
    "org.opencontainers.image.licenses": product.license,
    "org.opencontainers.image.revision": options.commit ?? "unknown",
    "org.opencontainers.image.source": "https://github.com/ocibundle/ocibundle",
    "org.opencontainers.image.title": product.name,
    "org.opencontainers.image.version": product.version,
  };
  try {
    const manifests: (Descriptor & { platform: object })[] = [];
    for (const [architecture, binary] of binaries) {
      const debian = await fetchDebianPackages(packageNames, architecture, packages);
      const layers: Descriptor[] = [];
      const diffIds: string[] = [];
      for (const entries of [await systemLayer(debian), await programLayer(options, binary)]) {
        const tar = layerTar(entries, product.time);
        diffIds.push(digestOf(tar));
        layers.push(await put(layerType, await promisify(gzip)(tar, { level: options.level })));
      }
      const platform = { architecture, os: "linux" };
      const created = product.time.toISOString();
      const config = await put(
        mediaTypes.ociConfig,
        json({
          created,
          ...platform,
          config: {
            User: `${user}:${user}`,
            Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            Entrypoint: ["/usr/local/bin/ocibundle"],
            WorkingDir: "/home/nonroot",
            Labels: annotations,
          },
          rootfs: { type: "layers", diff_ids: diffIds },
          history: ["Debian's packages", "ocibundle"].map((comment) => ({ created, comment })),
        }),
      );
      const manifest = await putManifest({
        ...imageManifest,
        config,
        layers,
        annotations,
      });
      manifests.push({ ...manifest, platform });
    }
    await putManifest({ ...imageIndex, manifests, annotations }, product.version);
    await archive.commit(signal);
  } catch (error) {
    await archive.discard();
    throw error;
  }
}

const imageManifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest };
const imageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex };

const json = (document: unknown): Uint8Array => Buffer.from(JSON.stringify(document));

/** Everything but the program: libraries, certificates, a user, and what scanners of images look for. */
async function systemLayer(packages: readonly DebianPackage[]): Promise<Map<string, LayerEntry>> {
  const entries = new Map<string, LayerEntry>([
    ["etc/group", file(`root:x:0:\nnonroot:x:${user}:\n`)],
    ["etc/nsswitch.conf", file("passwd: files\ngroup: files\nhosts: files dns\n")],
    [
      "etc/passwd",
      file(
        `root:x:0:0:root:/root:/usr/sbin/nologin\nnonroot:x:${user}:${user}:nonroot:/home/nonroot:/usr/sbin/nologin\n`,
      ),
    ],
    ["home/nonroot", { type: "Directory", owner: user }],
    ["tmp", { type: "Directory", mode: 0o1777 }],
    // As in all of Debian since 2023, /lib is /usr/lib.
    ["lib", { type: "SymbolicLink", target: "usr/lib" }],
    ["lib64", { type: "SymbolicLink", target: "usr/lib64" }],
    ["usr/lib64", { type: "Directory" }],
    ["etc/os-release", { type: "SymbolicLink", target: "../usr/lib/os-release" }],
  ]);
  for (const { name, control, root } of packages) {
    entries.set(`var/lib/dpkg/status.d/${name}`, file(control));
    const certificates: string[] = [];
    for (const path of (await readdir(root, { recursive: true })).toSorted()) {
      if (/^usr\/share\/ca-certificates\/.+\.crt$/.test(path)) {
        certificates.push((await readFile(join(root, path), "utf8")).trimEnd());
      } else if (isWanted(path)) {
        const copied = await copyOf(join(root, path));
        if (copied !== undefined) entries.set(path, copied);
      }
    }
    if (certificates.length > 0) {
      entries.set("etc/ssl/certs/ca-certificates.crt", file(`${certificates.join("\n")}\n`));
    }
  }
  return entries;
}

/** Libraries, but not the hundreds that convert character sets; and licenses. */
const isWanted = (path: string): boolean =>
  /^usr\/lib(?:64)?\/(?:[\w-]+\/)?[\w.+-]+\.so[\d.]*$/.test(path) ||
  /^usr\/share\/doc\/[^/]+(?:\/copyright)?$/.test(path) ||
  path === "usr/lib/os-release";

/** A file or link as it is; undefined for a directory. */
async function copyOf(path: string): Promise<LayerEntry | undefined> {
  const target = await readlink(path).catch(() => undefined);
  if (target !== undefined) return { type: "SymbolicLink", target };
  const source = Bun.file(path);
  const { mode } = await source.stat();
  if ((mode & 0o170_000) !== 0o100_000) return undefined;
  return { type: "File", mode: mode & 0o777, content: await source.bytes() };
}

async function programLayer(
  { stage }: ImageOptions,
  binary: string,
): Promise<Map<string, LayerEntry>> {
  const documents = "usr/share/doc/ocibundle";
  return new Map<string, LayerEntry>([
    ["usr/local/bin/ocibundle", { type: "File", mode: 0o755, content: await readFile(binary) }],
    ...(await Promise.all(
      ["LICENSE", "THIRD-PARTY-NOTICES.txt"].map(
        async (name) => [`${documents}/${name}`, file(await readFile(join(stage, name)))] as const,
      ),
    )),
  ]);
}

const file = (content: Uint8Array | string): LayerEntry => ({ type: "File", content });
