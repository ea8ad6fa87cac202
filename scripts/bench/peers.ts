import { createHash } from "node:crypto";
import { link, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Contestant } from "./measure.ts";
import { present, weightFiles } from "./stage.ts";

/**
 * An OCI layout, tagged `v1`, whose image has the weight files of `cwd` as its layers: the same blobs as
 * in ocibundle's push, in a form that every peer takes. The files are linked, not copied.
 */
export async function layoutOf(cwd: string): Promise<string> {
  const directory = join(cwd, "peers");
  const blobs = join(directory, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (mediaType: string, document: unknown) => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const lock = JSON.parse(await readFile(join(cwd, "weights.lock"), "utf8")) as {
    files: { dest: string; digest: string; size: number }[];
  };
  const paths = new Map((await weightFiles(cwd)).map((path) => [path.replace(/.*\//, ""), path]));
  for (const { dest, digest } of lock.files) {
    const path = paths.get(dest.replace(/.*\//, ""));
    if (path === undefined) throw new Error(`no file for "${dest}"`);
    await link(path, join(blobs, digest.replace("sha256:", ""))).catch((error: unknown) => {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    });
  }
  const config = await put("application/vnd.oci.image.config.v1+json", {
    architecture: "amd64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: lock.files.map(({ digest }) => digest) },
  });
  const manifest = await put("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: lock.files.map(({ digest, size }) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar",
      digest,
      size,
    })),
  });
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  await writeFile(
    join(directory, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return directory;
}

/**
 * The peers that are on the PATH, each pushing the layout. `address` is asked for before each run and
 * resolves to the registry's.
 */
export function pushPeers(layout: string, address: () => Promise<string>): Contestant[] {
  // A repository of its own for each run: some clients send nothing when the manifest is there.
  let run = 0;
  const reference = async (name: string) => `${await address()}/bench/${name}-${run++}:v1`;
  const peers: Contestant[] = [
    {
      name: "skopeo",
      command: async () => [
        "skopeo",
        "copy",
        "--quiet",
        "--preserve-digests",
        "--dest-tls-verify=false",
        `oci:${layout}:v1`,
        `docker://${await reference("skopeo")}`,
      ],
    },
    {
      name: "oras",
      command: async () => [
        "oras",
        "cp",
        "--no-tty",
        "--to-plain-http",
        "--from-oci-layout",
        `${layout}:v1`,
        await reference("oras"),
      ],
    },
    {
      name: "crane",
      command: async () => ["crane", "push", "--insecure", layout, await reference("crane")],
    },
  ];
  return peers.filter(({ name }) => present(name));
}
