import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { OcibundleError } from "../errors.ts";
import { decryptKey, encryptedLabel, encryptedLabels, encryptKey } from "./encrypted-key.ts";
import { formatPem, pemBlocks } from "./pem.ts";
import { algorithmOf, notAKey, type PublicKey, publicKeyOf } from "./public-key.ts";

/** A key that signs. */
export interface PrivateKey {
  publicKey: PublicKey;
  sign(data: Uint8Array): Uint8Array;
}

const labels: ReadonlySet<string> = new Set([
  ...encryptedLabels,
  "PRIVATE KEY",
  "ENCRYPTED PRIVATE KEY",
  "EC PRIVATE KEY",
  "RSA PRIVATE KEY",
]);

/**
 * Reads a private key in PEM: encrypted as cosign does it, PKCS#8, or the older forms of OpenSSL. The password
 * is asked for only where the key needs one; `on` names the file in messages. Throws `file`, and `denied` for a
 * wrong password.
 */
export async function readPrivateKey(
  text: string,
  on: string,
  password: () => Promise<string>,
): Promise<PrivateKey> {
  const blocks = pemBlocks(text);
  // An EC key of OpenSSL comes behind its parameters.
  const block = blocks.find(({ label }) => labels.has(label));
  if (block === undefined) {
    const [first] = blocks;
    if (first === undefined) throw notAKey(on);
    throw new OcibundleError("file", `${on}: "${first.label}" is not a private key`, {
      hint: "signing requires the private key, such as cosign.key",
    });
  }
  if (encryptedLabels.has(block.label)) {
    const pkcs8 = await decryptKey(block.bytes, await password(), on);
    return opened(() => createPrivateKey(derKey(pkcs8)), on);
  }
  if (block.label === "ENCRYPTED PRIVATE KEY") {
    const passphrase = await password();
    return opened(() => createPrivateKey({ key: block.text, passphrase }), on, "denied");
  }
  if (/^Proc-Type:.*ENCRYPTED/m.test(block.text)) {
    throw new OcibundleError(
      "file",
      `${on}: the legacy OpenSSL encryption of keys is not supported`,
      {
        hint: `convert it with \`openssl pkcs8 -topk8 -in ${on} -out key.pem\``,
      },
    );
  }
  return opened(() => createPrivateKey(block.text), on);
}

const derKey = (pkcs8: Uint8Array) =>
  ({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" }) as const;

function opened(open: () => KeyObject, on: string, code: "file" | "denied" = "file"): PrivateKey {
  let key: KeyObject;
  try {
    key = open();
  } catch (cause) {
    throw code === "denied"
      ? new OcibundleError("denied", `${on}: wrong password`, {
          hint: "set COSIGN_PASSWORD to the password of the key",
          cause,
        })
      : new OcibundleError("file", `${on}: the private key is malformed or of an unknown kind`, {
          cause,
        });
  }
  return privateKeyOf(key, on);
}

function privateKeyOf(key: KeyObject, on: string): PrivateKey {
  const { hash } = algorithmOf(key, on);
  return {
    publicKey: publicKeyOf(createPublicKey(key.export({ type: "pkcs8", format: "pem" })), on),
    sign: (data) => sign(hash, data, key),
  };
}

/** A new pair on P-256, as `cosign.key` and `cosign.pub` have it. An empty password is one too. */
export async function generateKeyPair(
  password: string,
): Promise<{ privatePem: string; publicKey: PublicKey }> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  return {
    privatePem: formatPem(encryptedLabel, await encryptKey(pkcs8, password)),
    publicKey: publicKeyOf(publicKey, "the new key"),
  };
}
