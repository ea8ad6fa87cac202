import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { parseDocument } from "../oci/document.ts";

/**
 * What OpenSSF's model signing 1.0 signs: an in-toto statement with this predicate, which lists the files of a
 * directory. https://github.com/ossf/model-signing-spec
 */
const predicateType = "https://model_signing/signature/v1.0";

/** A directory of files as it was signed. */
export interface SignedModel {
  /** Paths below the directory, with `/`, as they stand there: not checked for where they lead. */
  files: { name: string; digest: `sha256:${string}` }[];
  /** Paths, of files or directories, that were left out when it was signed. */
  ignored: string[];
  /** Whether files may be reached over symbolic links. */
  allowsLinks: boolean;
}

const TypeSchema = v.looseObject({ predicateType: v.string() });

const StatementSchema = v.looseObject({
  subject: v.pipe(
    v.array(v.looseObject({ digest: v.looseObject({ sha256: v.string() }) })),
    v.length(1, "must have one entry"),
  ),
  predicate: v.looseObject({
    serialization: v.looseObject({
      method: v.string(),
      hash_type: v.string(),
      allow_symlinks: v.optional(v.boolean(), false),
      ignore_paths: v.optional(v.array(v.string()), []),
    }),
    resources: v.array(
      v.looseObject({ name: v.string(), algorithm: v.string(), digest: v.string() }),
    ),
  }),
});

const hex = /^[0-9a-f]{64}$/;

/**
 * Reads the statement of a model signature. Whether it is signed is the caller's to verify first. `on` names the
 * file. Throws `file` for another statement and for what is not supported, `integrity` where it contradicts itself.
 */
export function readSignedModel(payload: Uint8Array, on: string): SignedModel {
  const found = parseDocument(payload, TypeSchema, on);
  if (found.predicateType !== predicateType) {
    const type = JSON.stringify(found.predicateType);
    throw new OcibundleError("file", `${on} is not a model signature: its type is ${type}`, {
      hint: "use a signature of model_signing 1.0 or later",
    });
  }
  const { subject, predicate } = parseDocument(payload, StatementSchema, on);
  const { method, allow_symlinks: allowsLinks, ignore_paths: ignored } = predicate.serialization;
  if (method !== "files") throw unsupported(on, `the method ${JSON.stringify(method)}`, "files");
  const root = createHash("sha256");
  const names = new Set<string>();
  const files = predicate.resources.map(({ name, algorithm, digest }) => {
    if (algorithm !== "sha256") {
      throw unsupported(on, `the algorithm ${JSON.stringify(algorithm)}`, "sha256");
    }
    if (!hex.test(digest)) {
      throw new OcibundleError("file", `${on}: ${JSON.stringify(name)} has a malformed digest`);
    }
    if (names.has(name)) {
      throw new OcibundleError("file", `${on} lists ${JSON.stringify(name)} twice`);
    }
    names.add(name);
    root.update(Buffer.from(digest, "hex"));
    return { name, digest: `sha256:${digest}` as const };
  });
  if (root.digest("hex") !== subject[0]?.digest.sha256) {
    throw new OcibundleError("integrity", `${on}: its digest does not match the files it lists`);
  }
  return { files, ignored, allowsLinks };
}

const unsupported = (on: string, what: string, supported: string): OcibundleError =>
  new OcibundleError("file", `${on}: ${what} is not supported`, {
    hint: `verify it with model_signing, or sign the model with ${supported}`,
  });
