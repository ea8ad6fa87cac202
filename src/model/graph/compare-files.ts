import type { Digest } from "../../oci/digest.ts";
import type { FileReport } from "../../report/models-report.ts";

/** A weight file of a version: its own digest and size in bytes, and in how many parts it is stored, if it is. */
export interface ListedFile {
  name: string;
  digest: Digest;
  size: number;
  parts: number | null;
}

/** The files of all versions by name, each with its contents and the versions that have them; names in order. */
export function compareFiles(versions: readonly (readonly ListedFile[])[]): FileReport[] {
  const byName = new Map<string, Map<Digest, FileReport["contents"][number]>>();
  for (const [at, files] of versions.entries()) {
    for (const { name, digest, size, parts } of files) {
      const contents = byName.get(name) ?? new Map();
      byName.set(name, contents);
      const known = contents.get(digest);
      if (known === undefined) contents.set(digest, { digest, size, parts, versions: [at] });
      else {
        // Stored whole in one version and in parts in another, it is the same content.
        known.parts ??= parts;
        if (known.versions.at(-1) !== at) known.versions.push(at);
      }
    }
  }
  const byNumber = new Intl.Collator("en", { numeric: true });
  return [...byName]
    .map(([name, contents]) => ({ name, contents: [...contents.values()] }))
    .toSorted((a, b) => byNumber.compare(a.name, b.name) || (a.name < b.name ? -1 : 1));
}
