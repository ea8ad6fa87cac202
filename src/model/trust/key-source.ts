import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { readingCode, unreadableBecause } from "../../runtime/file-faults.ts";
import { readDocument } from "../../runtime/read-document.ts";
import type { JobContext } from "../session/session.ts";

/** Keys and trusted roots are small; more than this is something else, in bytes. */
const maxBytes = 4 * 1024 * 1024;

type Reading = Pick<JobContext, "env" | "cwd">;

/** The text of a key. `on` names it in messages. */
export interface KeyText {
  text: string;
  on: string;
}

/** Key stores that cosign knows and that need a client of their own. */
const stores = /^(awskms|gcpkms|azurekms|hashivault|openbao|k8s|pkcs11|gitlab|github):/i;

/**
 * Reads a key as cosign names it: a file, or `env://NAME` for a variable. Throws `usage` for key stores, which
 * are not supported, and `file`, `system`.
 */
export async function readKeyText({ env, cwd }: Reading, name: string): Promise<KeyText> {
  const variable = /^env:\/\/(.*)$/s.exec(name)?.[1];
  if (variable !== undefined) {
    const text = env[variable];
    if (text !== undefined && text !== "") return { text, on: `env://${variable}` };
    throw new OcibundleError("file", `env://${variable}: the variable is not set`, {
      hint: "set the variable to the key in PEM format",
    });
  }
  const store = stores.exec(name)?.[1];
  if (store !== undefined) {
    throw new OcibundleError("usage", `keys of "${store.toLowerCase()}" are not supported`, {
      hint: "sign with `cosign sign --key`, and verify with the exported public key: `cosign public-key --key`",
    });
  }
  if (name.includes("://")) {
    throw new OcibundleError(
      "usage",
      `"${name.replace(/:\/\/.*/s, "://")}": not a file or env://`,
      {
        hint: "download the key and use the file",
      },
    );
  }
  return { text: (await readNamed(cwd, name, "key")).toString("utf8"), on: `"${name}"` };
}

/** Reads a small file that the user named, of at most `limit` bytes. Throws `file`, `system`. */
export async function readNamed(
  cwd: string,
  name: string,
  what: string,
  limit = maxBytes,
): Promise<Buffer> {
  try {
    return await readDocument(resolve(cwd, name), { maxBytes: limit, named: true });
  } catch (cause) {
    const why = unreadableBecause(cause);
    throw new OcibundleError(readingCode(cause), `the ${what} "${name}" ${why}`, { cause });
  }
}
