import { posix } from "node:path";
import type { Digest } from "../../oci/digest.ts";
import type { UnpackedEntry } from "./unpack-layer.ts";

/** A file of an image after all its layers were laid one over the other. */
export interface MergedFile {
  /** Below the image's root. */
  name: string;
  size: number;
  digest: Digest;
}

type Node = Exclude<UnpackedEntry, { type: "directory" }>;

const whiteout = ".wh.";
const opaque = ".wh..wh..opq";

/** More links in a row are a circle (as many as Linux follows). */
const maxLinks = 40;

/**
 * The files of an image (image-spec v1.1, layer.md, "Whiteouts"): later layers replace what earlier ones
 * have, a whiteout removes it. Links count as the files that they lead to inside the image; `unresolved`
 * are those that lead nowhere, outside, or to a directory.
 */
export function mergeLayers(layers: readonly (readonly UnpackedEntry[])[]): {
  files: MergedFile[];
  unresolved: string[];
  /** Where a path inside the image leads to; undefined for a circle of links. */
  follow(path: string): string | undefined;
} {
  const nodes = new Map<string, Node>();
  // Directories that have or had something in them: most entries replace none.
  const directories = new Set<string>();
  const add = (node: Node): void => {
    nodes.set(node.name, node);
    for (let at = posix.dirname(node.name); at !== ".";) {
      directories.add(at);
      // A file can't stay where a directory is now.
      if (nodes.get(at)?.type === "file") nodes.delete(at);
      at = posix.dirname(at);
    }
  };
  const removeBelow = (directory: string): void => {
    if (directory !== "" && !directories.has(directory)) return;
    const prefix = directory === "" ? "" : `${directory}/`;
    for (const other of nodes.keys()) if (other.startsWith(prefix)) nodes.delete(other);
  };
  const remove = (name: string): void => {
    nodes.delete(name);
    removeBelow(name);
  };
  const linkedName = ({ target }: { target: string }): string =>
    followed(nodes, target, { last: false }) ?? "";
  const isDirectory = (name: string): boolean =>
    directories.has(followed(nodes, name, { last: true }) ?? "");
  for (const layer of layers) {
    // A layer's whiteouts speak of the layers below it only.
    for (const { name } of layer) {
      const base = posix.basename(name);
      const directory = posix.dirname(name) === "." ? "" : posix.dirname(name);
      if (base === opaque) removeBelow(directory);
      else if (base.startsWith(whiteout)) {
        remove(posix.join(directory, base.slice(whiteout.length)));
      }
    }
    for (const entry of layer) {
      if (posix.basename(entry.name).startsWith(whiteout)) continue;
      if (entry.type === "directory") {
        // A link to a directory stays, as with container engines.
        const there = nodes.get(entry.name);
        if (there?.type !== "symlink" || !isDirectory(entry.name)) nodes.delete(entry.name);
        continue;
      }
      const name = followed(nodes, entry.name, { last: false }) ?? entry.name;
      const linked = entry.type === "link" ? nodes.get(linkedName(entry)) : undefined;
      // A file in the place of a directory takes all of it away.
      remove(name);
      // A hard link is another name of what is there now, whatever becomes of the first name later.
      add({ ...(linked ?? entry), name });
    }
  }
  const files: MergedFile[] = [];
  const unresolved: string[] = [];
  for (const name of nodes.keys()) {
    const file = nodes.get(followed(nodes, name, { last: true }) ?? "");
    if (file?.type === "file") files.push({ name, size: file.size, digest: file.digest });
    else unresolved.push(name);
  }
  const follow = (path: string): string | undefined => followed(nodes, path, { last: true });
  return { files, unresolved, follow };
}

/**
 * A path below the image's root with the links on its way followed: an absolute target is meant below that
 * root, and ".." does not lead out of it. Undefined for a circle. `last` says whether a link at the very end
 * is followed too.
 */
function followed(
  nodes: ReadonlyMap<string, Node>,
  path: string,
  { last }: { last: boolean },
): string | undefined {
  const parts = path.split("/").toReversed();
  let at = "";
  let links = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (part === "" || part === ".") continue;
    const directory = at;
    if (part === "..") {
      at = at.includes("/") ? posix.dirname(at) : "";
      continue;
    }
    at = posix.join(at, part);
    const node = nodes.get(at);
    if (node?.type !== "symlink" || (parts.length === 0 && !last)) continue;
    links += 1;
    if (links > maxLinks) return undefined;
    at = node.target.startsWith("/") ? "" : directory;
    parts.push(...node.target.split("/").toReversed());
  }
  return at;
}
