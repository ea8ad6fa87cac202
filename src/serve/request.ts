/** What of a request's target is looked at. */
export interface Target {
  /** The path's segments, decoded: one may have a slash in it (`refs%2Fpr%2F1`). */
  segments: string[];
  query: URLSearchParams;
}

/** The longest target that is read, in bytes: ids, revisions and paths are far shorter. */
export const maxTargetBytes = 4096;

/**
 * Reads a request's target. Undefined for one that is no path, is not UTF-8 when it is decoded, or has a
 * character in it that no name has. Nothing is resolved: `..` is a name like others, and none that exists.
 */
export function parseTarget(text: string): Target | undefined {
  const [path = "", ...rest] = text.split("?");
  if (!path.startsWith("/")) return undefined;
  try {
    const segments = path.slice(1).split("/").map(decodeURIComponent);
    if (segments.some((segment) => /\p{Cc}/u.test(segment))) return undefined;
    return { segments, query: new URLSearchParams(rest.join("?")) };
  } catch {
    return undefined;
  }
}

/** A path as it is written in a URL, its slashes kept. */
export const encodePath = (path: string): string =>
  path.split("/").map(encodeURIComponent).join("/");

/** What follows of a path; a slash at its end says nothing (`tree/main/`). */
export const joined = (segments: readonly string[]): string =>
  segments.join("/").replace(/\/+$/, "");
