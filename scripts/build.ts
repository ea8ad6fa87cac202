// `npm run build`: the binary for this machine. `npm run release` makes those for every platform.
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import manifest from "../package.json";
import { compile } from "./compile.ts";
import { commit } from "./source-commit.ts";

const root = join(import.meta.dir, "..");
const dist = join(root, "dist");
const name = process.platform === "win32" ? "ocibundle.exe" : "ocibundle";
await mkdir(dist, { recursive: true });

// In place only when whole: a run of the old binary goes on undisturbed.
const unfinished = join(dist, `.${process.pid}-${name}`);
const outfile = join(dist, name);
await compile({
  entrypoints: [join(root, "src/main.ts"), join(root, "src/runtime/worker.ts")],
  root: join(root, "src"),
  outfile: unfinished,
  stamp: { version: manifest.version, commit: await commit(root) },
});
await rename(unfinished, outfile);
console.log(`dist/${name}  ${(Bun.file(outfile).size / 2 ** 20).toFixed(1)} MiB`);
