// `npm run release`: what a release consists of, in dist/release: an archive for every platform, install.sh, the bill
// of materials, npm packages, Python wheels, the container image, and SHA256SUMS over all of them. The same commit makes
// the same bytes; of the image, the same commit and the same packages of Debian.
//
//   npm run release -- [--only TARGET]... [--out DIR] [--level N] [--without-image]
//
// --level N: how hard all is compressed, 1 to 9; 9 unless given. Tests need no small files.
import { $ } from "bun";
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json";
import { compile } from "./compile.ts";
import { writeTarGz, writeZip } from "./release/archive.ts";
import { bundledDependencies } from "./release/dependencies.ts";
import { collectHelp } from "./reference/collect.ts";
import { manPage, manPageName } from "./reference/man-page.ts";
import { billOfMaterials, type Product, thirdPartyNotices } from "./release/documents.ts";
import { writeImage } from "./release/image.ts";
import { writeNpmPackage, writePlatformPackage } from "./release/npm.ts";
import { archiveName, executableName, isWindows, type Target, targets } from "./release/targets.ts";
import { writeWheel } from "./release/wheel.ts";
import { commit } from "./source-commit.ts";

const root = join(import.meta.dir, "..");
const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    out: { type: "string", default: join(root, "dist/release") },
    level: { type: "string", default: "9" },
    "without-image": { type: "boolean", default: false },
  },
});
const level = Number(values.level);
if (!/^[1-9]$/.test(values.level)) throw new Error(`--level "${values.level}" is not 1 to 9`);
for (const name of values.only ?? []) {
  if (!targets.some((target) => target.name === name)) {
    throw new Error(`--only "${name}": there is ${targets.map((one) => one.name).join(", ")}`);
  }
}
const chosen = targets.filter(({ name }) => values.only?.includes(name) ?? true);
const out = resolve(values.out);
const product: Product = {
  name: manifest.name,
  version: manifest.version,
  license: manifest.license,
  bun: manifest.devDependencies.bun,
  dependencies: await bundledDependencies(root),
  time: await sourceTime(),
};
const stamp = { version: manifest.version, commit: await commit(root) };

await rm(out, { recursive: true, force: true });
const stage = join(out, ".stage");
await mkdir(join(stage, "completions"), { recursive: true });
await copyFile(join(root, "LICENSE"), join(stage, "LICENSE"));
await writeFile(join(stage, "THIRD-PARTY-NOTICES.txt"), thirdPartyNotices(product));
for (const [shell, name] of [
  ["bash", "ocibundle.bash"],
  ["zsh", "_ocibundle"],
  ["fish", "ocibundle.fish"],
  ["powershell", "ocibundle.ps1"],
] as const) {
  const script =
    await $`${process.execPath} ${join(root, "src/main.ts")} completions ${shell}`.quiet();
  await writeFile(join(stage, "completions", name), script.stdout);
}
const manPages: string[] = [];
await mkdir(join(stage, "man"));
for (const help of await collectHelp()) {
  const name = `man/${manPageName(help)}`;
  manPages.push(name);
  const page = manPage(help, { version: manifest.version, date: product.time });
  await writeFile(join(stage, name), page);
}
/** The binaries of the container image, by architecture. */
const imageBinaries = new Map<string, string>();
for (const target of chosen) await release(target);
if (imageBinaries.size > 0) {
  await writeImage({
    product,
    commit: stamp.commit,
    binaries: imageBinaries,
    stage,
    packages: join(stage, "debian"),
    outfile: join(out, "ocibundle-image.tar"),
    level,
  });
}
await rm(stage, { recursive: true });

await writeNpmPackage(out, product, level);
await writeFile(
  join(out, "ocibundle.cdx.json"),
  `${JSON.stringify(billOfMaterials(product), null, 2)}\n`,
);
await copyFile(join(root, "install.sh"), join(out, "install.sh"));
const sums: string[] = [];
for (const name of (await readdir(out)).toSorted())
  sums.push(`${await sha256(join(out, name))}  ${name}\n`);
await writeFile(join(out, "SHA256SUMS"), sums.join(""));
console.log(sums.join("").trimEnd());

async function release(target: Target): Promise<void> {
  const executable = join(stage, executableName(target));
  await compile({
    entrypoints: [join(root, "src/main.ts"), join(root, "src/runtime/worker.ts")],
    root: join(root, "src"),
    outfile: executable,
    target: target.bun,
    stamp,
  });
  await chmod(executable, 0o755);
  const completions = ["_ocibundle", "ocibundle.bash", "ocibundle.fish", "ocibundle.ps1"];
  const names = [
    executableName(target),
    "LICENSE",
    "THIRD-PARTY-NOTICES.txt",
    ...completions.map((name) => `completions/${name}`),
    ...(isWindows(target) ? [] : manPages.toSorted()),
  ];
  const outfile = join(out, archiveName(target));
  const write = isWindows(target) ? writeZip : writeTarGz;
  await write({ directory: stage, names, outfile, time: product.time, level });
  await writePlatformPackage(out, product, target, { stage, level });
  await writeWheel(out, product, target, { stage, level });
  const architecture = /^linux-(amd64|arm64)$/.exec(target.name)?.[1];
  if (architecture === undefined || values["without-image"]) {
    await rm(executable);
  } else {
    const kept = join(stage, `ocibundle-${architecture}`);
    await rename(executable, kept);
    imageBinaries.set(architecture, kept);
  }
}

/** SOURCE_DATE_EPOCH, else when the commit was made, else 1980, before which a zip has no times. */
async function sourceTime(): Promise<Date> {
  const given = process.env["SOURCE_DATE_EPOCH"];
  const made = await $`git log -1 --format=%ct`.cwd(root).nothrow().quiet();
  const seconds = Number(given ?? (made.exitCode === 0 ? made.text() : 315_532_800));
  if (!Number.isSafeInteger(seconds)) throw new Error("SOURCE_DATE_EPOCH is no number of seconds");
  return new Date(seconds * 1000);
}

/** The SHA-256 of a file, in hex. */
async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return hash.digest("hex");
}
