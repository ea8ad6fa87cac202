import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { Header } from "tar/header";

/** What a path of an image is. Modes are 0755 for directories and 0644 for files unless given. */
export type LayerEntry = { mode?: number; /** Its user and group. */ owner?: number } & (
  | { type: "Directory" }
  | { type: "File"; content: Uint8Array | string }
  | { type: "SymbolicLink"; target: string }
);

const blockSize = 512;

const modes = { Directory: 0o755, File: 0o644, SymbolicLink: 0o777 } as const;

/**
 * The tar archive of a layer, with the directories above what it has. It depends on nothing but the entries and
 * `time`.
 */
export function layerTar(entries: ReadonlyMap<string, LayerEntry>, time: Date): Uint8Array {
  const all = new Map(entries);
  for (const path of entries.keys()) {
    for (let above = dirname(path); above !== "."; above = dirname(above)) {
      if (!all.has(above)) all.set(above, { type: "Directory" });
    }
  }
  const parts: Uint8Array[] = [];
  for (const [path, entry] of [...all].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const content = entry.type === "File" ? Buffer.from(entry.content) : Buffer.alloc(0);
    const block = Buffer.alloc(blockSize);
    const header = new Header({
      path: entry.type === "Directory" ? `${path}/` : path,
      type: entry.type,
      mode: entry.mode ?? modes[entry.type],
      uid: entry.owner ?? 0,
      gid: entry.owner ?? 0,
      size: content.length,
      mtime: time,
      ...(entry.type === "SymbolicLink" ? { linkpath: entry.target } : {}),
    });
    if (header.encode(block)) throw new Error(`"${path}" does not fit into a header`);
    const padding = (blockSize - (content.length % blockSize)) % blockSize;
    parts.push(block, content, Buffer.alloc(padding));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockSize)]);
}
