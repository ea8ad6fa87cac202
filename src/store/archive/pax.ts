import { OcibundleError } from "../../errors.ts";

/** What the extension before an entry says in place of its header. */
export interface Overrides {
  path?: string;
  linkpath?: string;
  size?: number;
}

/**
 * Reads pax records (POSIX.1-2024, pax, "pax Extended Header"): `LENGTH KEY=VALUE\n`, the length in
 * bytes and counting itself. Throws `file` for malformed ones and for sparse files.
 */
export function paxOverrides(bytes: Uint8Array, on: string): Overrides {
  const decoder = new TextDecoder();
  const overrides: Overrides = {};
  for (let at = 0; at < bytes.byteLength;) {
    const space = bytes.indexOf(0x20, at);
    const lengthText = decoder.decode(bytes.subarray(at, space === -1 ? at : space));
    const end = at + Number(lengthText);
    if (!/^[1-9]\d{0,7}$/.test(lengthText) || end > bytes.byteLength || bytes[end - 1] !== 0x0a) {
      // Some writers fill up with NUL bytes.
      if (bytes.subarray(at).every((byte) => byte === 0)) break;
      throw new OcibundleError("file", `${on}: a malformed pax header`);
    }
    const record = decoder.decode(bytes.subarray(space + 1, end - 1));
    const equals = record.indexOf("=");
    if (equals < 1) throw new OcibundleError("file", `${on}: a malformed pax header`);
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (key === "path" || key === "linkpath") overrides[key] = value;
    else if (key === "size") overrides.size = paxSize(value, on);
    else if (key.startsWith("GNU.sparse.")) {
      throw new OcibundleError("file", `${on}: sparse files are not supported`, {
        hint: "create the archive again without --sparse",
      });
    }
    at = end;
  }
  return overrides;
}

function paxSize(value: string, on: string): number {
  const size = Number(value);
  if (/^\d{1,16}$/.test(value) && Number.isSafeInteger(size)) return size;
  throw new OcibundleError("file", `${on}: "${value}" is not a size`);
}
