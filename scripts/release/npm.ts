import { chmod, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeTarGz } from "./archive.ts";
import type { Product } from "./documents.ts";
import { executableName, type Target, targets } from "./targets.ts";

/** The package with the binary of one platform: npm installs the one that fits, and no other. */
const platformPackage = ({ name }: Product, { npm }: Target): string | undefined =>
  npm && `@${name}/${npm.os}-${npm.cpu}${npm.libc === "musl" ? "-musl" : ""}`;

const described = (product: Product) => ({
  version: product.version,
  license: product.license,
  homepage: "https://github.com/ocibundle/ocibundle",
  repository: { type: "git", url: "git+https://github.com/ocibundle/ocibundle.git" },
});

/** Writes the tarball that `npx ocibundle` gets: a program that starts the binary of a platform's package. */
export async function writeNpmPackage(out: string, product: Product, level: number): Promise<void> {
  const optional = targets.flatMap((target) => platformPackage(product, target) ?? []);
  await writePackage(out, product, {
    level,
    manifest: {
      name: product.name,
      ...described(product),
      description: "Moves model weights through any OCI registry",
      type: "module",
      bin: { [product.name]: "bin/ocibundle.js" },
      engines: { node: ">=18" },
      optionalDependencies: Object.fromEntries(optional.map((name) => [name, product.version])),
    },
    files: {
      "bin/ocibundle.js": join(import.meta.dir, "npm-launcher.js"),
      LICENSE: join(import.meta.dir, "../../LICENSE"),
    },
    executable: "bin/ocibundle.js",
  });
}

/** Writes the tarball with a platform's binary, which lies in the directory `stage`. */
export async function writePlatformPackage(
  out: string,
  product: Product,
  target: Target,
  { stage, level }: { stage: string; level: number },
): Promise<void> {
  const name = platformPackage(product, target);
  if (name === undefined || target.npm === undefined) return;
  const { os, cpu, libc } = target.npm;
  const executable = `bin/${executableName(target)}`;
  await writePackage(out, product, {
    level,
    manifest: {
      name,
      ...described(product),
      description: `The binary of ocibundle for ${target.name}`,
      os: [os],
      cpu: [cpu],
      ...(libc === undefined ? {} : { libc: [libc] }),
      preferUnplugged: true,
    },
    files: {
      [executable]: join(stage, executableName(target)),
      LICENSE: join(stage, "LICENSE"),
      "THIRD-PARTY-NOTICES.txt": join(stage, "THIRD-PARTY-NOTICES.txt"),
    },
    executable,
  });
}

interface Contents {
  manifest: { name: string; [member: string]: unknown };
  /** Where each file of the package is copied from. */
  files: Record<string, string>;
  executable: string;
  /** Of compression. */
  level: number;
}

/** Writes what `npm pack` would: everything below `package/`, under the name that npm gives such a file. */
async function writePackage(out: string, product: Product, contents: Contents): Promise<void> {
  const { manifest, files, executable, level } = contents;
  const directory = join(out, ".npm");
  await mkdir(join(directory, "package/bin"), { recursive: true });
  await writeFile(
    join(directory, "package/package.json"),
    `${JSON.stringify(manifest, undefined, 2)}\n`,
  );
  for (const [name, from] of Object.entries(files)) {
    await copyFile(from, join(directory, "package", name));
  }
  await chmod(join(directory, "package", executable), 0o755);
  const base = manifest.name.replace(/^@/, "").replace("/", "-");
  await writeTarGz({
    directory,
    names: ["package.json", ...Object.keys(files)].map((name) => `package/${name}`),
    outfile: join(out, `npm-${base}-${product.version}.tgz`),
    time: product.time,
    level,
  });
  await rm(directory, { recursive: true });
}
