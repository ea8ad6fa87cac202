#!/usr/bin/env node
// Starts the binary of the package that npm installed for this platform.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";

const require = createRequire(import.meta.url);
const platform = `@ocibundle/${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "bin/ocibundle.exe" : "bin/ocibundle";

/** Of two C libraries the one that this process runs with comes first; both are there where npm can't tell. */
function candidates() {
  if (process.platform !== "linux") return [platform];
  const glibc = process.report?.getReport?.()?.header?.glibcVersionRuntime !== undefined;
  return glibc ? [platform, `${platform}-musl`] : [`${platform}-musl`, platform];
}

function find() {
  for (const name of candidates()) {
    try {
      return require.resolve(`${name}/${file}`);
    } catch {
      // Not installed: the next one may be.
    }
  }
  return undefined;
}

const binary = find();
if (binary === undefined) {
  console.error(`error: no binary of ocibundle is installed for ${process.platform} on ${process.arch}
hint: install without --omit=optional, or get a binary from https://github.com/ocibundle/ocibundle/releases`);
  process.exit(7);
}

const child = spawn(binary, process.argv.slice(2), { stdio: "inherit", windowsHide: true });
// The terminal sends ^C to both; what is sent to this process alone is passed on. The child decides when to end.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`error: cannot start ${binary}: ${error.message}`);
  process.exit(7);
});
child.on("exit", (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
