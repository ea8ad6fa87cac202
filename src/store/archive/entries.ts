import { Buffer } from "node:buffer";
import { Header } from "tar/header";
import { OcibundleError } from "../../errors.ts";
import { entryPath } from "./path.ts";
import { type Overrides, paxOverrides } from "./pax.ts";
import type { TarSource } from "./source.ts";

/** One entry of a tar archive; its content lies between `offset` and `offset + size`. */
export interface TarEntry {
  type: "file" | "directory" | "link" | "symlink";
  /** Below the archive's root, with `/` between the parts and none at the ends. */
  name: string;
  /** In bytes, from the archive's start. */
  offset: number;
  /** In bytes. */
  size: number;
  /** What a link says it points to, as it is written. */
  target: string;
}

const blockSize = 512;

/** Long names and pax records are read into memory; real ones have some hundred bytes. */
const maxExtensionBytes = 1024 * 1024;

/** More entries than any image has, so that a made-up archive can't fill the memory. */
const maxEntries = 1_000_000;

/** How an archive is read. */
export interface TarOptions {
  /** As engines read a layer. */
  ofLayer?: boolean;
  /**
   * Called at the end of an archive without the zeros that mark it, as some writers leave them out and tar and Go
   * read it; without this it is an error.
   */
  onUnmarked?: (() => void) | undefined;
}

/** For `onUnmarked`: the digest of the whole, or of each file, tells that nothing is missing. */
export const unmarkedIsWhole = (): void => undefined;

const contentTypes: ReadonlyMap<string, TarEntry["type"]> = new Map([
  ["File", "file"],
  ["OldFile", "file"],
  ["ContiguousFile", "file"],
  ["Directory", "directory"],
  ["Link", "link"],
  ["SymbolicLink", "symlink"],
] as const);

/**
 * The entries of a tar archive in order: ustar, pax and GNU (long names, sizes over 8 GiB).
 *
 * Content is not read here: the consumer may read it through the source before it asks for the next
 * entry, and what it leaves is passed over. The source is read to its end: an archive with data behind the mark of
 * its end is not what its writer wrote. One without that mark may be cut off between two entries: it is read where
 * `onUnmarked`, which is called then, says that this is noticed otherwise. `on` names the archive. Throws `file` for
 * what is no tar archive, has a name that leaves it, or an entry that is no file, directory or link; `integrity` for
 * what is cut off or has data behind its end.
 *
 * `ofLayer` reads as container engines read a layer: names are below the root even where they begin with
 * `/`, devices and FIFOs are passed over, and no bytes at all are a layer without entries.
 */
export async function* tarEntries(
  source: TarSource,
  on: string,
  { ofLayer = false, onUnmarked }: TarOptions = {},
): AsyncGenerator<TarEntry, void, undefined> {
  const fail = (why: string): OcibundleError => new OcibundleError("file", `${on}: ${why}`);
  let overrides: Overrides = {};
  for (let count = 0; ;) {
    const at = source.position;
    const header = await readHeader(source, on, ofLayer);
    if (header === "no more") {
      if (onUnmarked === undefined) throw unmarked(on);
      onUnmarked();
      return;
    }
    if (header === "end mark") {
      await expectZeros(source, on);
      return;
    }
    const { type } = header;
    if (extensionTypes.has(type)) {
      Object.assign(overrides, await readExtension(source, header, on));
      continue;
    }
    const named = overrides.path ?? header.path ?? "";
    const name = entryPath(ofLayer ? named.replace(/^\/+(?=.)/, "") : named, on);
    if (ofLayer && deviceTypes.has(type)) {
      overrides = {};
      continue;
    }
    const known = contentTypes.get(type);
    if (known === undefined) {
      throw fail(`entry "${name}" has the unsupported type ${type}`);
    }
    const size = known === "file" ? sizeOf(header, overrides, fail, name) : 0;
    if (size === undefined || !(size >= 0)) {
      throw fail(`entry "${name}" at byte ${at} has no size`);
    }
    count += 1;
    if (count > maxEntries) throw fail(`more than ${maxEntries} entries`);

    const offset = source.position;
    // The root itself is often listed, as "./".
    if (name !== "") {
      yield {
        type: known,
        name,
        offset,
        size,
        target: overrides.linkpath ?? header.linkpath ?? "",
      };
    }
    overrides = {};
    const left = offset + padded(size) - source.position;
    // The padding of the very last entry may be missing.
    if ((await source.skip(left)) < left && source.position < offset + size) {
      const found = `${source.position - offset} of ${size} bytes`;
      throw cutOff(on, `entry "${name}" is truncated: ${found}`);
    }
  }
}

/** What only a container engine makes. These entries have no content. */
const deviceTypes: ReadonlySet<string> = new Set(["CharacterDevice", "BlockDevice", "FIFO"]);

/** The largest size that the octal digits of a header hold: eleven of them. */
const maxHeaderSize = 8 ** 11 - 1;

/**
 * The size of an entry's content. A pax record takes the place of the header's size where that has no
 * room for it; two sizes that differ although there is room would be read differently by other tools.
 */
function sizeOf(
  header: Header,
  { size }: Overrides,
  fail: (why: string) => OcibundleError,
  name: string,
): number | undefined {
  const inHeader = header.size ?? 0;
  if (size === undefined) return header.size;
  if (size === inHeader || inHeader === 0 || size > maxHeaderSize) return size;
  throw fail(`entry "${name}" has two sizes: ${inHeader} in its header, ${size} in its pax header`);
}

/** In bytes. What follows the end is zeros: writers fill up their last record, 10 KiB with most of them. */
const tailChunk = 64 * 1024;

async function expectZeros(source: TarSource, on: string): Promise<void> {
  for (;;) {
    const at = source.position;
    const bytes = await source.read(tailChunk);
    if (bytes.byteLength === 0) return;
    const found = bytes.findIndex((byte) => byte !== 0);
    if (found !== -1) {
      throw new OcibundleError("integrity", `${on}: data follows its end, at byte ${at + found}`, {
        hint: "create or copy it again: it is damaged, or data was appended",
      });
    }
  }
}

/** The error for an archive, called `on`, without the zeros at its end. */
export const unmarked = (on: string): OcibundleError =>
  cutOff(on, "truncated: the end mark is missing");

/** The error for an archive, called `on`, whose end is missing. */
const cutOff = (on: string, what: string): OcibundleError =>
  new OcibundleError("integrity", `${on}: ${what}`, {
    hint: "create or copy it again: it is truncated",
  });

const padded = (size: number): number => Math.ceil(size / blockSize) * blockSize;

/** The header at the front, or how the archive ends there: by its mark, or because nothing follows. */
async function readHeader(
  source: TarSource,
  on: string,
  mayBeEmpty: boolean,
): Promise<Header | "end mark" | "no more"> {
  const at = source.position;
  const block = await source.read(blockSize);
  if (block.byteLength === 0 && at === 0 && mayBeEmpty) return "end mark";
  if (block.byteLength === 0 && at > 0) return "no more";
  const notTar = `${on}: ${at === 0 ? "not a tar archive" : `damaged at byte ${at}`}`;
  if (block.byteLength < blockSize) {
    if (at > 0) throw cutOff(on, `truncated in the header at byte ${at}`);
    throw new OcibundleError("file", notTar);
  }
  let header: Header;
  try {
    header = new Header(Buffer.from(block.buffer, block.byteOffset, blockSize));
  } catch (cause) {
    throw new OcibundleError("file", notTar, { cause });
  }
  if (header.nullBlock) return "end mark";
  if (!header.cksumValid) throw new OcibundleError("file", notTar);
  return header;
}

const extensionTypes: ReadonlySet<string> = new Set([
  "ExtendedHeader",
  "OldExtendedHeader",
  "GlobalExtendedHeader",
  "NextFileHasLongPath",
  "OldGnuLongPath",
  "NextFileHasLongLinkpath",
]);

/** What an extension says of the entry that follows it. */
async function readExtension(source: TarSource, header: Header, on: string): Promise<Overrides> {
  const { type, size } = header;
  if (size === undefined || !(size >= 0 && size <= maxExtensionBytes)) {
    throw new OcibundleError("file", `${on}: an extended header of ${size} bytes`);
  }
  const bytes = new Uint8Array(await source.read(size));
  const padding = padded(size) - size;
  if (bytes.byteLength < size || (await source.skip(padding)) < padding) {
    throw cutOff(on, "truncated in an extended header");
  }
  switch (type) {
    case "NextFileHasLongPath":
    case "OldGnuLongPath":
      return { path: untilNul(bytes) };
    case "NextFileHasLongLinkpath":
      return { linkpath: untilNul(bytes) };
    case "GlobalExtendedHeader":
      // Comments, as git writes them: nothing that a single entry should be given from there.
      return {};
    default:
      return paxOverrides(bytes, on);
  }
}

const untilNul = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
};
