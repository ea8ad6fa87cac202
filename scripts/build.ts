// `npm run build`: the binary for this machine. `npm run build -- --all`: one for every platform, and SHA256SUMS.
import { $ } from "bun";
import { createHash } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json";
import { type BuildStamp, compile } from "./compile.ts";

const targets = [
  "linux-x64",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
] as const;

const root = join(import.meta.dir, "..");
const dist = join(root, "dist");

const { values } = parseArgs({ options: { all: { type: "boolean", default: false } } });
const stamp: BuildStamp = { version: manifest.version, commit: await commit() };
await mkdir(dist, { recursive: true });

await build(process.platform === "win32" ? "ocibundle.exe" : "ocibundle");
if (values.all) {
  const sums: string[] = [];
  for (const target of targets) {
    const name = `ocibundle-${target}${target.startsWith("windows-") ? ".exe" : ""}`;
    const path = await build(name, target);
    sums.push(`${await sha256(path)}  ${name}\n`);
  }
  await writeFile(join(dist, "SHA256SUMS"), sums.join(""));
}

async function build(name: string, target?: (typeof targets)[number]): Promise<string> {
  const outfile = join(dist, name);
  // In place only when whole: a run of the old binary goes on undisturbed.
  const unfinished = join(dist, `.${process.pid}-${name}`);
  await compile({
    entrypoints: [join(root, "src/main.ts"), join(root, "src/runtime/worker.ts")],
    root: join(root, "src"),
    outfile: unfinished,
    target,
    stamp,
  });
  await rename(unfinished, outfile);
  console.log(`${basename(dist)}/${name}  ${(Bun.file(outfile).size / 2 ** 20).toFixed(1)} MiB`);
  return outfile;
}

/** The commit of the sources, marked when they were changed since; undefined outside a git checkout. */
async function commit(): Promise<string | undefined> {
  const head = await $`git rev-parse HEAD`.cwd(root).nothrow().quiet();
  if (head.exitCode !== 0) return undefined;
  const changes = await $`git status --porcelain -- src package.json bun.lock`.cwd(root).quiet();
  return `${head.text().trim()}${changes.text() === "" ? "" : "-modified"}`;
}

/** The SHA-256 of a file, in hex. */
async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return hash.digest("hex");
}
