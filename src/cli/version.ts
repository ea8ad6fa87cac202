import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { versionNumber } from "../version.ts";

/** Replaced by the build (`--define`); not there when the sources run as they are. */
declare const OCIBUNDLE_COMMIT: string;

/** Version of this program, and the commit of its sources or null where that is not known. */
export interface ProgramVersion {
  version: string;
  commit: string | null;
}

/** The version of the program, and the commit that it was built from, where that is known. */
export function programVersion(): ProgramVersion {
  const commit = typeof OCIBUNDLE_COMMIT === "undefined" ? commitOfSources() : OCIBUNDLE_COMMIT;
  return { version: versionNumber(), commit: commit ?? null };
}

/** As one line: `0.1.0 (3f9c1a2b4d5e)`. */
export const formatVersion = ({ version, commit }: ProgramVersion): string =>
  commit === null ? version : `${version} (${commit})`;

const root = (): string => fileURLToPath(new URL("../../", import.meta.url));

/** Undefined outside a git work tree. */
function commitOfSources(): string | undefined {
  try {
    return execFileSync("git", ["rev-parse", "--short=12", "HEAD"], {
      cwd: root(),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}
