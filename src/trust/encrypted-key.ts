import { Buffer } from "node:buffer";
import { randomBytes, scrypt } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { parseDocument } from "../oci/document.ts";

/**
 * The format in which cosign encrypts private keys: a JSON document with the parameters of scrypt, and a
 * NaCl secretbox (XSalsa20-Poly1305) around a key in PKCS#8.
 */
export const encryptedLabels: ReadonlySet<string> = new Set([
  "ENCRYPTED SIGSTORE PRIVATE KEY",
  "ENCRYPTED COSIGN PRIVATE KEY",
]);

/** What new keys are written as, since cosign 2. */
export const encryptedLabel = "ENCRYPTED SIGSTORE PRIVATE KEY";

const saltBytes = 32;
const nonceBytes = 24;
const keyBytes = 32;

/** The costs that exist; any others could take all memory and time (N, with r = 8 and p = 1). */
const costs = [32_768, 65_536, 131_072] as const;
const blockSize = 8;

/** What cosign has for new keys. */
const newCost = 65_536;

const Base64Schema = v.pipe(
  v.string("must be base64"),
  v.base64("must be base64"),
  v.transform((text): Uint8Array => Buffer.from(text, "base64")),
);

const EncryptedSchema = v.object({
  kdf: v.object({
    name: v.literal("scrypt", 'must be "scrypt"'),
    params: v.object({
      N: v.picklist(costs, `must be one of ${costs.join(", ")}`),
      r: v.literal(blockSize, `must be ${blockSize}`),
      p: v.literal(1, "must be 1"),
    }),
    salt: Base64Schema,
  }),
  cipher: v.object({
    name: v.literal("nacl/secretbox", 'must be "nacl/secretbox"'),
    nonce: v.pipe(
      Base64Schema,
      v.check(({ length }) => length === nonceBytes, `must have ${nonceBytes} bytes`),
    ),
  }),
  ciphertext: Base64Schema,
});

/**
 * Decrypts a key: the bytes of the PEM block to PKCS#8. `on` names it in messages. Throws `file` for
 * another document, `denied` for a wrong password.
 */
export async function decryptKey(
  block: Uint8Array,
  password: string,
  on: string,
): Promise<Uint8Array> {
  const { kdf, cipher, ciphertext } = parseDocument(block, EncryptedSchema, on);
  const key = await derive(password, kdf.salt, kdf.params.N);
  try {
    return xsalsa20poly1305(key, cipher.nonce).decrypt(ciphertext);
  } catch (cause) {
    // The box says nothing about why; a changed file looks the same.
    throw new OcibundleError("denied", `${on}: wrong password`, {
      hint: "set COSIGN_PASSWORD to the password of the key",
      cause,
    });
  }
}

/** Encrypts PKCS#8 bytes as cosign does: the bytes of a PEM block. */
export async function encryptKey(pkcs8: Uint8Array, password: string): Promise<Uint8Array> {
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const key = await derive(password, salt, newCost);
  const ciphertext = xsalsa20poly1305(key, nonce).encrypt(pkcs8);
  return Buffer.from(
    JSON.stringify({
      kdf: {
        name: "scrypt",
        params: { N: newCost, r: blockSize, p: 1 },
        salt: salt.toString("base64"),
      },
      cipher: { name: "nacl/secretbox", nonce: nonce.toString("base64") },
      ciphertext: Buffer.from(ciphertext).toString("base64"),
    }),
  );
}

const derive = (password: string, salt: Uint8Array, cost: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const options = { N: cost, r: blockSize, p: 1, maxmem: 2 * 128 * cost * blockSize };
    scrypt(password, salt, keyBytes, options, (error, key) => {
      // null in Node's words, undefined in Bun's.
      if (error instanceof Error) reject(error);
      else resolve(key);
    });
  });
