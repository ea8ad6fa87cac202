import { Buffer } from "node:buffer";
import { Header } from "tar/header";

/** An entry as a test wants it, right or wrong. */
export interface TestEntry {
  name: string;
  /** As node-tar calls them; a file unless given. */
  type?: Header["type"];
  content?: Uint8Array | string;
  /** What the header says, where that is not the content's length. */
  size?: number;
  target?: string;
}

const padding = (length: number): Buffer => Buffer.alloc((512 - (length % 512)) % 512);

/** The bytes of one entry: header, content, padding. */
export function tarEntry({ name, type = "File", content = "", size, target }: TestEntry): Buffer {
  const bytes = Buffer.from(content);
  const header = new Header({
    path: name,
    type,
    size: size ?? bytes.byteLength,
    mode: 0o644,
    mtime: new Date(0),
    ...(target === undefined ? {} : { linkpath: target }),
  });
  const block = Buffer.alloc(512);
  header.encode(block);
  return Buffer.concat([block, bytes, padding(bytes.byteLength)]);
}

/** One pax record, its length counted as the format wants it. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(rest);
  let total = length + String(length).length;
  if (length + String(total).length !== total) total += 1;
  return `${total}${rest}`;
}

/** A whole archive with its end. */
export const tarBytes = (...entries: readonly TestEntry[]): Buffer =>
  Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]);
