import { type FileHandle, open, stat } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import { type TarEntry, tarEntries, unmarked } from "./entries.ts";
import { linkTarget } from "./path.ts";
import { fileTarSource } from "./source.ts";
import { type FilePlace, layoutReader, type LayoutReader } from "../layout/reader.ts";
import { faultCode, faultReason } from "../../runtime/file-faults.ts";

/** A tar archive in a file, its entries known and its content left where it is. */
export interface Archive {
  /** Where an entry's content lies, links within the archive followed; undefined when there is none. */
  locate(name: string): FilePlace | undefined;
  /** The names of all files and links, in the archive's order. */
  names(): Iterable<string>;
}

type EmitWarning = ((event: { type: "warning"; message: string }) => void) | undefined;

const magics = [
  { name: "gzip", bytes: [0x1f, 0x8b] },
  { name: "zstd", bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: "xz", bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: "bzip2", bytes: [0x42, 0x5a, 0x68] },
] as const;

/** How these first bytes of something say that it is compressed, or undefined. */
export const compressionOf = (head: Uint8Array): (typeof magics)[number]["name"] | undefined =>
  magics.find(({ bytes }) => bytes.every((byte, at) => head[at] === byte))?.name;

/** What lists the content of an archive: of an image layout, and of Docker's format. */
const lists = ["index.json", "manifest.json"];

/**
 * Reads the headers of a tar archive, a few hundred bytes an entry. Of entries of one name the last counts,
 * as for tar, and `emit` is told of it.
 *
 * `on` names the archive in messages. Throws `file` for one that is missing, no tar archive,
 * compressed, damaged, or holds what an image's archive can't, `integrity` for one that is cut off: see
 * `tarEntries`.
 */
export async function openArchive(
  path: string,
  on: string,
  signal: AbortSignal,
  emit?: EmitWarning,
): Promise<Archive> {
  const file = await openFile(path, on);
  try {
    const { size } = await file.stat();
    const entries = new Map<string, TarEntry>();
    await refuseCompressed(file, on);
    const twice = new Set<string>();
    let isUnmarked = false;
    const onUnmarked = (): void => {
      isUnmarked = true;
    };
    for await (const entry of tarEntries(fileTarSource(file, size), on, { onUnmarked })) {
      signal.throwIfAborted();
      if (entry.type === "directory") continue;
      if (entries.has(entry.name)) twice.add(entry.name);
      entries.set(entry.name, entry);
    }
    warnOfTwice(twice, on, emit);
    if (isUnmarked) {
      // What lists the content tells whether some is missing; without it nothing does.
      if (!lists.some((name) => entries.has(name))) throw unmarked(on);
      const message = `${on}: the end mark is missing: the archive may be truncated`;
      emit?.({ type: "warning", message });
    }
    return {
      names: () => entries.keys(),
      locate(name) {
        const entry = followLinks(entries, name, on);
        return entry === undefined ? undefined : { path, offset: entry.offset, size: entry.size };
      },
    };
  } finally {
    await file.close();
  }
}

/** Tells of names that an archive has more than once. */
export function warnOfTwice(names: ReadonlySet<string>, on: string, emit: EmitWarning): void {
  const [first] = names;
  if (first === undefined) return;
  const others = names.size === 1 ? "" : ` and ${names.size - 1} more`;
  const appear = names.size === 1 ? "appears" : "appear";
  const message = `${on}: entry "${first}"${others} ${appear} more than once; the last one is used`;
  emit?.({ type: "warning", message });
}

/**
 * Opens an archive of an OCI image layout for reading. Throws as `openArchive`, and `file` for one of something else.
 */
export async function openLayoutArchive(
  path: string,
  name: string,
  signal: AbortSignal,
  emit?: EmitWarning,
): Promise<LayoutReader> {
  const archive = await openArchive(path, name, signal, emit);
  const warn = emit && ((message: string) => emit({ type: "warning", message }));
  return layoutReader({ name, locate: async (file) => archive.locate(file) }, warn);
}

const maxLinks = 16;

/** The file a name stands for, through the links of an archive. Throws `file` for links that lead nowhere. */
export function followLinks<T extends Pick<TarEntry, "type" | "name" | "target">>(
  entries: ReadonlyMap<string, T>,
  name: string,
  on: string,
): T | undefined {
  let entry = entries.get(name);
  for (let links = 0; entry?.type === "link" || entry?.type === "symlink"; links += 1) {
    if (links === maxLinks) {
      throw new OcibundleError("file", `${on}: the links of entry "${name}" form a loop`);
    }
    const { type, name: linkName, target } = entry;
    const next: string = linkTarget({ type, name: linkName, target }, on);
    entry = entries.get(next);
    if (entry === undefined) {
      throw new OcibundleError(
        "file",
        `${on}: entry "${name}" links to "${next}", which is missing`,
      );
    }
  }
  return entry;
}

async function openFile(path: string, on: string): Promise<FileHandle> {
  try {
    // Looked at first: opening a FIFO waits until somebody writes to it.
    if ((await stat(path)).isFile()) {
      const file = await open(path, "r");
      if ((await file.stat()).isFile()) return file;
      await file.close();
    }
  } catch (cause) {
    const code = faultCode(cause, "reading");
    if (code === undefined) throw cause;
    const missing = ["ENOENT", "ENOTDIR"].includes(errno(cause) ?? "");
    const why = missing ? "no such file" : `cannot read the file: ${faultReason(cause)}`;
    throw new OcibundleError(code, `${on}: ${why}`, { cause });
  }
  throw new OcibundleError("file", `${on}: not a file`, { hint: "specify the path of an archive" });
}

async function refuseCompressed(file: FileHandle, on: string): Promise<void> {
  const { buffer } = await file.read(new Uint8Array(8), 0, 8, 0);
  const compression = compressionOf(buffer);
  if (compression === undefined) return;
  throw new OcibundleError("file", `${on}: the archive is compressed with ${compression}`, {
    hint: "decompress it first",
  });
}
