import { Buffer } from "node:buffer";
import { blockSize } from "./header.ts";

// The bytes that Go's archive/tar writes in its PAX format for entries without owner and times: Cog packs
// weights so, and the same file then has the same layer digest whoever packed it. (Go 1.26,
// archive/tar/writer.go, strconv.go.)

/** From this size on, in bytes, a size no longer fits its field of eleven octal digits. */
const largestOctal = 8 ** 11 - 1;

const nameLength = 100;

/** A directory (its name ends in a slash) or a file of `size` bytes. */
export interface GoTarEntry {
  name: string;
  /** In bytes; 0 for a directory. */
  size: number;
}

/** What stands before an entry's content: an extended header, its records, and the entry's own header. */
export function goTarHeader({ name, size }: GoTarEntry): Uint8Array {
  const isDirectory = name.endsWith("/");
  const records = [paxRecord("atime", "0"), paxRecord("ctime", "0")];
  if (!isAscii(name) || Buffer.byteLength(name) > nameLength) records.push(paxRecord("path", name));
  if (size > largestOctal) records.push(paxRecord("size", String(size)));
  const text = Buffer.from(records.join(""));
  const extended = Buffer.alloc(Math.ceil(text.byteLength / blockSize) * blockSize);
  text.copy(extended);
  return Buffer.concat([
    header({ name: extendedName(name), size: text.byteLength, mode: 0, type: "x", isBare: true }),
    extended,
    header({
      name: toAscii(name),
      size: size > largestOctal ? 0 : size,
      mode: isDirectory ? 0o755 : 0o644,
      type: isDirectory ? "5" : "0",
      isBare: false,
    }),
  ]);
}

/** Go names an extended header after its entry, in a directory beside it, or in it where it is a directory. */
function extendedName(name: string): string {
  const slash = name.lastIndexOf("/") + 1;
  const path = `${name.slice(0, slash)}PaxHeaders.0/${name.slice(slash)}`;
  return toAscii(path).slice(0, nameLength).replace(/\/+$/, "");
}

/** Go drops what is not ASCII from headers and puts the whole name into a record. */
const toAscii = (text: string): string =>
  Array.from(text)
    .filter((character) => character > "\0" && character <= "\x7f")
    .join("");

const isAscii = (text: string): boolean => toAscii(text) === text;

/** `LENGTH KEY=VALUE\n`, the length in bytes and counting itself. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function header({
  name,
  size,
  mode,
  type,
  isBare,
}: {
  name: string;
  size: number;
  mode: number;
  type: string;
  /** An extended header has no device numbers. */
  isBare: boolean;
}): Buffer {
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, "0"), at, "latin1");
  };
  block.write(name.slice(0, nameLength), 0, "latin1");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(type, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  if (!isBare) {
    octal(0, 329, 8);
    octal(0, 337, 8);
  }
  block.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The directories of paths, each once and before what is in it, as they stand before the files. */
export function parentDirectories(paths: readonly string[]): string[] {
  const directories = new Set<string>();
  for (const path of paths) {
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
      directories.add(path.slice(0, at + 1));
    }
  }
  return [...directories].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
