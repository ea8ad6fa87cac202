import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { verifyModelSignature } from "../../../../src/model/jobs/verify-model-signature.ts";
import type { OcibundleError } from "../../../../src/errors.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { testIdentity, testIssuer, testSigstore } from "../../../support/sigstore.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const sigstore = await testSigstore();
const hexOf = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Changes {
  names?: string[];
  method?: string;
  algorithm?: string;
  /** In place of the digest over those of all files. */
  root?: string;
  predicateType?: string;
}

/** Verifies a directory with `a.bin` against a signature by an identity, of a statement that is changed. */
async function verify({
  names = ["a.bin"],
  method = "files",
  algorithm = "sha256",
  root,
  predicateType = "https://model_signing/signature/v1.0",
}: Changes = {}) {
  const cwd = await temporaryDirectory();
  await mkdir(join(cwd, "model"));
  await writeFile(join(cwd, "model/a.bin"), "weights");
  const digests = names.map(() => hexOf("weights"));
  const all = createHash("sha256");
  for (const digest of digests) all.update(Buffer.from(digest, "hex"));
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "model", digest: { sha256: root ?? all.digest("hex") } }],
    predicateType,
    predicate: {
      serialization: { method, hash_type: algorithm, allow_symlinks: false, ignore_paths: [] },
      resources: names.map((name, at) => ({ name, algorithm, digest: digests[at] })),
    },
  };
  const bundle = await sigstore.bundle({
    digest: digestOf("not used"),
    statement: Buffer.from(JSON.stringify(statement)),
  });
  await writeFile(join(cwd, "model.sig"), bundle);
  await writeFile(join(cwd, "trusted_root.json"), sigstore.trustedRoot);
  return (identity = testIdentity) =>
    verifyModelSignature(jobIn(cwd), {
      dir: "model",
      signature: "model.sig",
      signer: {
        kind: "identity",
        identity,
        identityRegexp: undefined,
        issuer: testIssuer,
        issuerRegexp: undefined,
        trustedRoot: "trusted_root.json",
      },
    });
}

describe("a model signature", () => {
  test("by an identity is verified offline, and one by another is refused", async () => {
    const verified = await verify();
    expect(await verified()).toMatchObject({
      name: `model.sig, signed by ${testIdentity}`,
      checked: { items: 1, bytes: 7 },
      problems: [],
    });
    expect(await failureOf(verified("mallory@example.com"))).toMatchObject({
      code: "integrity",
      message: `"model.sig": signed by "${testIdentity}"`,
    });
  });

  test.each<[string, Changes, OcibundleError["code"], string]>([
    ["leads out of the directory", { names: ["../a.bin"] }, "file", 'the path "../a.bin"'],
    ["has an absolute path", { names: ["/etc/passwd"] }, "file", 'the path "/etc/passwd"'],
    ["has an empty path", { names: [""] }, "file", 'the path ""'],
    ["lists a file twice", { names: ["a.bin", "a.bin"] }, "file", 'lists "a.bin" twice'],
    ["has shards", { method: "shards" }, "file", 'the method "shards" is not supported'],
    ["has another hash", { algorithm: "blake3" }, "file", 'the algorithm "blake3"'],
    ["contradicts itself", { root: hexOf("other") }, "integrity", "its digest does not match"],
    [
      "is of something else",
      { predicateType: "https://slsa.dev/provenance/v1" },
      "file",
      "is not a model signature",
    ],
  ])("that %s is refused, whoever signed it", async (_, changes, code, says) => {
    const verified = await verify(changes);
    const error = await failureOf(verified());
    expect(error.message).toContain(says);
    expect(error.code).toBe(code);
  });
});
