import { createHash } from "node:crypto";

/** The name of a file that is about a path or a host, which may be too long to be one: 32 hexadecimal digits. */
export const hashedName = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 32);
