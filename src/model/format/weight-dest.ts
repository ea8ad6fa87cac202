/**
 * What is wrong with a dest, as the end of a sentence that starts "dest", or undefined. A dest is an
 * absolute path of plain components: it is joined to a folder on pull, and must not leave it.
 */
export function checkDest(dest: string): string | undefined {
  const fault = faultOf(dest);
  return fault === undefined ? undefined : `${JSON.stringify(dest)} ${fault}`;
}

function faultOf(dest: string): string | undefined {
  if (!dest.startsWith("/")) return "must be an absolute path";
  if (dest.includes("\\")) return "must not have a backslash";
  // C0 and C1 control characters: NUL ends a path early, the others are obeyed by terminals.
  if (/\p{Cc}/u.test(dest)) return "must not have a NUL or control character";
  if (!dest.isWellFormed()) return "must be well-formed Unicode";
  const components = dest.slice(1).split("/");
  if (components.includes("")) return "must not have an empty component";
  if (components.includes(".")) return 'must not have a "." component';
  if (components.includes("..")) return 'must not have a ".." component';
  return undefined;
}

/**
 * Throws what `refuse` makes when two entries have one dest, or when one's dest lies under another's,
 * which would have to be a file and a folder at once.
 */
export function checkDestsApart(
  entries: readonly { name: string; dest: string }[],
  refuse: (name: string, fault: string) => Error,
): void {
  const owners = new Map<string, string>();
  for (const { name, dest } of entries) {
    const owner = owners.get(dest);
    if (owner !== undefined) {
      throw refuse(name, `dest ${JSON.stringify(dest)} is that of ${JSON.stringify(owner)} too`);
    }
    owners.set(dest, name);
  }
  for (const { name, dest } of entries) {
    for (const folder of foldersOf(dest)) {
      const owner = owners.get(folder);
      if (owner === undefined) continue;
      const under = `${JSON.stringify(folder)}, the dest of ${JSON.stringify(owner)}`;
      throw refuse(name, `dest ${JSON.stringify(dest)} is nested under ${under}`);
    }
  }
}

function* foldersOf(dest: string): Generator<string> {
  for (let end = dest.lastIndexOf("/"); end > 0; end = dest.lastIndexOf("/", end - 1)) {
    yield dest.slice(0, end);
  }
}
