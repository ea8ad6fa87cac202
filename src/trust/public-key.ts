import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { OcibundleError } from "../errors.ts";
import { encryptedLabels } from "./encrypted-key.ts";
import { pemBlocks } from "./pem.ts";

/** A key that signatures are checked with. */
export interface PublicKey {
  /** The SHA-256 of its SubjectPublicKeyInfo in base64: how Sigstore bundles name a key. */
  id: string;
  /** The same as it is shown, in the way of ssh: `SHA256:…`. */
  fingerprint: string;
  algorithm: string;
  verify(data: Uint8Array, signature: Uint8Array): boolean;
  /** As `cosign.pub` has it. */
  pem: string;
}

/** What is signed with which hash. Ed25519 has its own. */
interface Algorithm {
  name: string;
  hash: string | null;
}

const curves: Readonly<Record<string, Algorithm>> = {
  prime256v1: { name: "ECDSA P-256", hash: "sha256" },
  secp384r1: { name: "ECDSA P-384", hash: "sha384" },
  secp521r1: { name: "ECDSA P-521", hash: "sha512" },
};

/** Smaller RSA keys are no longer safe; larger ones take minutes. In bits. */
const rsaBits = { min: 2048, max: 16_384 };

/** What a key, public or private, signs with. Throws `file` for one that is not supported. */
export function algorithmOf(key: KeyObject, on: string): Algorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ec") {
    const algorithm = curves[details?.namedCurve ?? ""];
    if (algorithm !== undefined) return algorithm;
  }
  if (type === "ed25519") return { name: "Ed25519", hash: null };
  if (type === "rsa") {
    const bits = details?.modulusLength ?? 0;
    if (bits >= rsaBits.min && bits <= rsaBits.max) return { name: `RSA ${bits}`, hash: "sha256" };
    throw new OcibundleError("file", `${on}: RSA keys of ${bits} bits are not supported`, {
      hint: `use a key of ${rsaBits.min} to ${rsaBits.max} bits`,
    });
  }
  const kind = type === "ec" ? `the curve ${details?.namedCurve ?? "?"}` : `type ${type ?? "?"}`;
  throw new OcibundleError("file", `${on}: keys of ${kind} are not supported`, {
    hint: "use ECDSA on P-256, P-384 or P-521, Ed25519 or RSA",
  });
}

const publicLabels: ReadonlySet<string> = new Set(["PUBLIC KEY", "RSA PUBLIC KEY"]);

/** Reads a public key in PEM. `on` names the file in messages. Throws `file`. */
export function readPublicKey(text: string, on: string): PublicKey {
  const blocks = pemBlocks(text);
  const block = blocks.find(({ label }) => publicLabels.has(label));
  if (block === undefined) {
    const [first] = blocks;
    if (first === undefined) throw notAKey(on);
    const isPrivate = encryptedLabels.has(first.label) || first.label.endsWith("PRIVATE KEY");
    throw new OcibundleError(
      "file",
      isPrivate ? `${on} is a private key` : `${on}: "${first.label}" is not a public key`,
      { hint: "verification requires the public key, such as cosign.pub" },
    );
  }
  let key: KeyObject;
  try {
    key = createPublicKey(block.text);
  } catch (cause) {
    throw new OcibundleError("file", `${on}: the public key is malformed or of an unknown kind`, {
      cause,
    });
  }
  return publicKeyOf(key, on);
}

/** What is no PEM file at all. */
export const notAKey = (on: string): OcibundleError =>
  new OcibundleError("file", `${on} is not a key: no PEM block`, {
    hint: "create one with `ocibundle generate-key-pair`",
  });

/** Throws `file` for a key that is not supported. */
export function publicKeyOf(key: KeyObject, on: string): PublicKey {
  const { name, hash } = algorithmOf(key, on);
  const spki = key.export({ type: "spki", format: "der" });
  // Some versions of cosign sign with SHA-256 whatever the curve.
  const hashes = hash === null || hash === "sha256" ? [hash] : [hash, "sha256"];
  const id = createHash("sha256").update(spki).digest("base64");
  return {
    id,
    fingerprint: fingerprintOf(id),
    algorithm: name,
    verify: (data, signature) =>
      hashes.some((one) => {
        try {
          return verify(one, data, key, signature);
        } catch {
          // What is no signature of this kind at all.
          return false;
        }
      }),
    pem: key.export({ type: "spki", format: "pem" }),
  };
}

/** A key's id as it is shown. */
export const fingerprintOf = (id: string): string => `SHA256:${id.replaceAll("=", "")}`;
