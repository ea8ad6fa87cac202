import { Buffer } from "node:buffer";
import { unlink } from "node:fs/promises";
import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { GeneratedKeyPair } from "../../report/signatures.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { createFile, privateMode, readableMode } from "../../runtime/own-file.ts";
import { generateKeyPair } from "../../trust/private-key.ts";
import type { JobContext } from "../session/session.ts";

/**
 * Writes a new key pair to `PREFIX.key`, which only this user may read, and `PREFIX.pub`. Throws `conflict` where
 * one of them exists, `system`, `file`.
 */
export async function writeKeyPair(
  { cwd, signal }: Pick<JobContext, "cwd" | "signal">,
  prefix: string,
  password: () => Promise<string>,
): Promise<GeneratedKeyPair> {
  const { privatePem, publicKey } = await generateKeyPair(await password());
  signal.throwIfAborted();
  const names = { privateKey: `${prefix}.key`, publicKey: `${prefix}.pub` };
  const files = [
    { name: names.privateKey, text: privatePem, mode: privateMode },
    { name: names.publicKey, text: publicKey.pem, mode: readableMode },
  ];
  const written: string[] = [];
  try {
    for (const { name, text, mode } of files) {
      const path = resolve(cwd, name);
      await write(path, name, text, mode, written);
    }
  } catch (error) {
    // Half a pair is of no use, and in the way of the next try.
    for (const path of written) await unlink(path).catch(() => undefined);
    throw error;
  }
  return { ...names, key: publicKey.fingerprint };
}

async function write(
  path: string,
  name: string,
  text: string,
  mode: number,
  written: string[],
): Promise<void> {
  try {
    const file = await createFile(path, mode);
    written.push(path);
    try {
      await file.writeFile(Buffer.from(text));
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "EEXIST") throw unwritable(name, cause);
    throw new OcibundleError("conflict", `"${name}" exists`, {
      hint: "choose another name with --output-key-prefix: existing keys are never replaced",
      cause,
    });
  }
}
