import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as v from "valibot";

/** Replaced by the build (`--define`); not there when the sources run as they are. */
declare const OCIBUNDLE_VERSION: string;
declare const OCIBUNDLE_COMMIT: string;

/** Version of this program, and the commit of its sources or null where that is not known. */
export interface ProgramVersion {
  version: string;
  commit: string | null;
}

export function programVersion(): ProgramVersion {
  const version = typeof OCIBUNDLE_VERSION === "undefined" ? versionOfSources() : OCIBUNDLE_VERSION;
  const commit = typeof OCIBUNDLE_COMMIT === "undefined" ? commitOfSources() : OCIBUNDLE_COMMIT;
  return { version, commit: commit ?? null };
}

/** As one line: `0.1.0 (3f9c1a2b4d5e)`. */
export const formatVersion = ({ version, commit }: ProgramVersion): string =>
  commit === null ? version : `${version} (${commit})`;

const root = (): string => fileURLToPath(new URL("../../", import.meta.url));

function versionOfSources(): string {
  const text = readFileSync(`${root()}package.json`, "utf8");
  return v.parse(v.looseObject({ version: v.string() }), JSON.parse(text)).version;
}

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
