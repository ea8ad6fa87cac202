import { Buffer } from "node:buffer";
import type { CommandContext } from "../cli/context.ts";
import { OcibundleError } from "../errors.ts";

/** More than this on standard input is no password, in bytes. */
const maxPasswordBytes = 64 * 1024;

/** A password: all of standard input but one line end. Throws `usage` for more than one has. */
export async function readPassword({ stdin, signal }: CommandContext): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdin()) {
    signal.throwIfAborted();
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > maxPasswordBytes) {
      throw new OcibundleError("usage", "standard input is too long for a password", {
        hint: 'pass the password alone, such as with `printf %s "$TOKEN" | ocibundle login …`',
      });
    }
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}
