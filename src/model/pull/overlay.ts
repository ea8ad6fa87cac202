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

type Node = Exclude<UnpackedEntry, { type: "folder" }>;

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
} {
  const nodes = new Map<string, Node>();
  // Directories that have or had something in them: most entries replace none.
  const directories = new Set<string>();
  const add = (node: Node): void => {
    nodes.set(node.name, node);
    for (let at = posix.dirname(node.name); at !== "." && !directories.has(at);) {
      directories.add(at);
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
      if (entry.type === "folder") {
        nodes.delete(entry.name);
        continue;
      }
      // A file in the place of a directory takes all of it away.
      remove(entry.name);
      add(entry);
    }
  }
  const files: MergedFile[] = [];
  const unresolved: string[] = [];
  for (const name of nodes.keys()) {
    const file = resolveLinks(nodes, name);
    if (file === undefined) unresolved.push(name);
    else files.push({ name, size: file.size, digest: file.digest });
  }
  return { files, unresolved };
}

function resolveLinks(
  nodes: ReadonlyMap<string, Node>,
  name: string,
): (Node & { type: "file" }) | undefined {
  let at = name;
  for (let links = 0; links <= maxLinks; links += 1) {
    const node = nodes.get(at);
    if (node === undefined || node.type === "file") return node;
    const from =
      node.type === "link" || node.target.startsWith("/") ? "/" : posix.dirname(`/${at}`);
    // An absolute target is meant below the image's root, and ".." does not lead out of it.
    at = posix.join(from, node.target).replace(/^\/+/, "").replace(/\/+$/, "");
  }
  return undefined;
}
