import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as v from "valibot";

/** Replaced by the build (`--define`); not there when the sources run as they are. */
declare const OCIBUNDLE_VERSION: string;

let ofSources: string | undefined;

/** The version of this program: `0.1.0`. */
export const versionNumber = (): string =>
  typeof OCIBUNDLE_VERSION === "undefined" ? (ofSources ??= versionOfSources()) : OCIBUNDLE_VERSION;

function versionOfSources(): string {
  const path = fileURLToPath(new URL("../package.json", import.meta.url));
  const text = readFileSync(path, "utf8");
  return v.parse(v.looseObject({ version: v.string() }), JSON.parse(text)).version;
}
