import type { Digest } from "../oci/digest.ts";

/** How a signature is stored: as cosign 3 does, or under a tag as cosign 2 does. */
export type SignatureFormat = "bundle" | "tag";

/** What `sign` did; with `--json` its shape is part of the surface (docs/json.md). */
export interface Signed {
  /** What was signed, by its digest. */
  reference: string;
  digest: Digest;
  /** The fingerprint of the key, `SHA256:…`: of its public half, in base64. */
  key: string;
  signatures: {
    subject: Digest;
    format: SignatureFormat;
    /** The manifest that has the signature. */
    digest: Digest;
    /** `present` where the key had signed it before. */
    outcome: "signed" | "present";
  }[];
}

/** One signature and what is to be thought of it. */
export interface CheckedSignature {
  /** The manifest that has it. */
  digest: Digest;
  /** Null where it cannot be read. */
  format: SignatureFormat | null;
  valid: boolean;
  /** The fingerprint of the key that signed (`SHA256:…`), where it is valid and was one. */
  key: string | null;
  /** Who signed, and who vouches for that, where it is valid and has a certificate. */
  identity: string | null;
  issuer: string | null;
  /** Why it does not count; null where it is valid. */
  reason: string | null;
}

/** What `verify --signature` found; with `--json` its shape is part of the surface (docs/json.md). */
export interface SignatureReport {
  name: string;
  /** Names what was verified for good, where it is in a registry; else null. */
  reference: string | null;
  digest: Digest;
  valid: boolean;
  signatures: CheckedSignature[];
}

/** What `generate-key-pair` wrote; with `--json` its shape is part of the surface (docs/json.md). */
export interface GeneratedKeyPair {
  /** Paths, as they were named. */
  privateKey: string;
  publicKey: string;
  /** The fingerprint of the key, `SHA256:…`: of its public half, in base64. */
  key: string;
}
