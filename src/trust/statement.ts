import { Buffer } from "node:buffer";
import * as v from "valibot";
import { recordOf } from "../oci/open-schemas.ts";
import { type Digest, digestAlgorithm, digestHex } from "../oci/digest.ts";
import { parseDocument } from "../oci/document.ts";

/** What cosign 3 signs: an in-toto statement about a manifest, with this predicate and nothing in it. */
export const signPredicate = "https://sigstore.dev/cosign/sign/v1";

/** The payload type of an in-toto statement in a DSSE envelope. */
export const statementType = "application/vnd.in-toto+json";

/** The bytes of a statement that signs a manifest. */
export const signStatement = (digest: Digest): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ digest: { [digestAlgorithm(digest)]: digestHex(digest) } }],
      predicateType: signPredicate,
      predicate: {},
    }),
  );

const StatementSchema = v.looseObject({
  _type: v.picklist(
    ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"],
    "must be that of an in-toto statement",
  ),
  subject: v.array(v.looseObject({ digest: recordOf(v.string(), v.string()) })),
  predicateType: v.string(),
});

/** What of an in-toto statement is checked. */
export interface Statement {
  predicateType: string;
  /** What it is about, as digests: `sha256:…`. */
  subjects: string[];
}

/** Reads a statement. Throws `file` for another document. */
export function readStatement(payload: Uint8Array, on: string): Statement {
  const { subject, predicateType } = parseDocument(payload, StatementSchema, on);
  const subjects = subject.flatMap(({ digest }) =>
    Object.entries(digest).map(([algorithm, hex]) => `${algorithm}:${hex}`),
  );
  return { predicateType, subjects };
}

/**
 * What is signed in the place of a payload, so that its type is signed too (DSSE, "Pre-Authentication
 * Encoding").
 */
export const preAuthEncoding = (type: string, payload: Uint8Array): Uint8Array =>
  Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.byteLength} `),
    payload,
  ]);
