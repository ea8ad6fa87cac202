import type { PathFilter } from "./path-filter.ts";
import type { RemoteFile } from "./remote-file.ts";

/** Which files of a source are wanted. */
export interface RemoteChoice {
  filter?: PathFilter | undefined;
  /** Told of each file that is left out, by its address. */
  onLeftOut?: ((path: string) => void) | undefined;
}

/** A file of a source, with its path below what was named. */
export interface FoundRemote {
  below: string;
  /** Whether the address is that of this file. */
  isNamed: boolean;
  remote: RemoteFile;
}

/** The path below a directory of a source; a file that is named itself keeps its last part. */
export function belowPath(path: string, directory: string): string | undefined {
  if (directory === "") return path;
  if (path === directory) return path.slice(path.lastIndexOf("/") + 1);
  return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : undefined;
}

/** The rules of directories on this machine. A file that is named itself may be hidden. */
export function takes(filter: PathFilter | undefined, below: string, isNamed: boolean): boolean {
  const parts = below.split("/");
  const isHidden = parts.some((part) => part.startsWith("."));
  if (isHidden && !isNamed && filter?.namesHidden !== true) return false;
  if (filter === undefined) return true;
  const directories = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join("/"));
  return directories.every((directory) => filter.enters(directory)) && filter.takes(below);
}
