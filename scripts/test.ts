// `npm test [ARGUMENT]...`: all tests, or what the arguments of `bun test` choose, against a binary of these sources;
// OCIBUNDLE_BINARY names another. Started by itself, `bun test` runs the scripted tests from the sources.
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const name = process.platform === "win32" ? "ocibundle.exe" : "ocibundle";
const given = process.env["OCIBUNDLE_BINARY"];
const isBuilt = given ? true : run([join(import.meta.dir, "build.ts")]);
const binary = given ? given : join(root, "dist", name);
if (!isBuilt || !run(["test", "--timeout", "60000", ...process.argv.slice(2)], binary)) {
  process.exitCode = 1;
}

/** Runs Bun; whether it ended well. */
function run(args: readonly string[], binaryToTest = ""): boolean {
  const child = Bun.spawnSync([process.execPath, ...args], {
    cwd: root,
    env: { ...process.env, OCIBUNDLE_BINARY: binaryToTest },
    stdio: ["inherit", "inherit", "inherit"],
  });
  return child.success;
}
