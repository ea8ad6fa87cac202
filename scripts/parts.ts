import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Where scripts/ci-dependencies.sh puts the programs that it builds; it has the same default. */
const builtParts =
  process.env["OCIBUNDLE_TEST_PARTS"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "ocibundle-test-parts");

/** The path of a real program that tests run, or null where this machine lacks it. */
export function findPart(name: string): string | null {
  const path = [join(builtParts, "bin"), process.env["PATH"] ?? ""].join(delimiter);
  return Bun.which(name, { PATH: path });
}

/** The directory of a library for another language that tests use (`huggingface_hub-2.4.0`), where it is installed. */
export function findLibrary(name: string): string | undefined {
  const path = join(builtParts, "lib", name);
  return existsSync(`${path}.installed`) ? path : undefined;
}
