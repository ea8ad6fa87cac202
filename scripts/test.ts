// `npm test [ARGUMENT]...`: all tests, or what the arguments of `bun test` choose, against a binary of these sources;
// OCIBUNDLE_BINARY names another. Started by itself, `bun test` runs the scripted tests from the sources.
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const env = { ...process.env };
if (!env["OCIBUNDLE_BINARY"]) {
  const build = run([join(import.meta.dir, "build.ts")]);
  if (build !== 0) process.exit(build);
  env["OCIBUNDLE_BINARY"] = join(
    root,
    process.platform === "win32" ? "dist/ocibundle.exe" : "dist/ocibundle",
  );
}
process.exitCode = run(["test", "--timeout", "60000", ...process.argv.slice(2)]);

/** Runs Bun and returns its exit code. */
function run(args: readonly string[]): number {
  const { exitCode } = Bun.spawnSync([process.execPath, ...args], {
    cwd: root,
    env,
    stdio: ["inherit", "inherit", "inherit"],
  });
  return exitCode ?? 1;
}
