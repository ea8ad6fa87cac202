import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const given = process.env["OCIBUNDLE_RELEASE"];

/** A directory that `npm run release` made; without it nothing of a release is tested. */
const release = resolve(given ?? "/nonexistent");

/** The path of a file of the release. */
export const ofRelease = (name: string): string => join(release, name);

/**
 * Whether what needs this path is to be skipped: it is not there. With a release in CI nothing is skipped, and what is
 * missing fails.
 */
export const isLeftOut = (path: string): boolean =>
  !existsSync(path) && (given === undefined || process.env["CI"] !== "true");
