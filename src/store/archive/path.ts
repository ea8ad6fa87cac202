import { OcibundleError } from "../../errors.ts";

/** In characters: no system has longer paths, and what is done with each part takes time. */
const longestName = 4096;

/**
 * An entry's name in one form: no `.` parts, no `/` at the end. The root's is empty.
 * Throws `file` for a name that is absolute, has `..`, or a NUL.
 */
export function entryPath(name: string, on: string): string {
  const fail = (why: string): never => {
    throw new OcibundleError("file", `${on}: entry ${JSON.stringify(name)} ${why}`, {
      hint: "use an archive that was created by an image tool",
    });
  };
  if (name === "") fail("has no name");
  if (name.length > longestName) {
    throw new OcibundleError("file", `${on}: an entry has a name of ${name.length} characters`);
  }
  if (name.startsWith("/") || /^[A-Za-z]:[\\/]/.test(name)) fail("has an absolute path");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) fail('has ".." in its path');
  if (name.includes("\0")) fail("has a NUL in its path");
  return parts.join("/");
}

/**
 * What a link of an archive points to, as a name in it: hard links are written from the root, symbolic
 * ones from their directory. Throws `file` when that is outside.
 */
export function linkTarget(
  link: { type: "link" | "symlink"; name: string; target: string },
  on: string,
): string {
  const { type, name, target } = link;
  const parts = type === "link" ? [] : name.split("/").slice(0, -1);
  let outside = target === "" || target.startsWith("/") || target.includes("\0");
  for (const part of target.split("/")) {
    if (part === "..") outside ||= parts.pop() === undefined;
    else if (part !== "" && part !== ".") parts.push(part);
  }
  if (!outside) return parts.join("/");
  throw new OcibundleError(
    "file",
    `${on}: entry "${name}" links to ${JSON.stringify(target)}, which is outside the archive`,
  );
}
