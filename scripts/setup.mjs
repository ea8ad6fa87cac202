// Makes node_modules what bun.lock says, on a machine that has nothing but Node and npm.
// Plain Node without dependencies, since it runs before there are any.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const pinned = manifest.devDependencies.bun;
const installed = join(root, "node_modules", "bun", "package.json");
const executable = join(root, "node_modules", "bun", "bin", "bun.exe");
const install = ["install", "--frozen-lockfile"];

const haveBun =
  existsSync(executable) &&
  existsSync(installed) &&
  JSON.parse(readFileSync(installed, "utf8")).version === pinned;

// With the pinned Bun in place this takes some 50 ms when there is nothing to do, and needs no network.
let result = haveBun ? run(executable, install) : undefined;
if (result?.status !== 0) {
  console.error(`setup: getting Bun ${pinned} and the dependencies of bun.lock`);
  result = run("npm", ["exec", "--yes", `--package=bun@${pinned}`, "--", "bun", ...install]);
}
if (result.status !== 0) {
  console.error(`setup: the dependencies could not be installed
${result.error?.message ?? result.output}
hint: npm must be on the PATH and able to reach a package registry; \`npm ping\` tells`);
  process.exitCode = 1;
}

/** Runs a command at the root; its output is kept for the case that it fails. */
function run(command, args) {
  const child = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    // npm is a script on Windows, which only a shell can start.
    shell: process.platform === "win32" && command === "npm",
  });
  return { status: child.status, error: child.error, output: `${child.stdout}${child.stderr}` };
}
