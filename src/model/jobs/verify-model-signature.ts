import { realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { VerifyReport } from "../../report/verify.ts";
import { destFault } from "../../store/placement/dest-rule.ts";
import { readBundle } from "../../trust/bundle.ts";
import { readSignedModel, type SignedModel } from "../../trust/model-signature.ts";
import { statementType } from "../../trust/statement.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import type { SignerSettings } from "../session/verify-settings.ts";
import { judgeSigner } from "../trust/check-signature.ts";
import { readNamed } from "../trust/key-source.ts";
import { openSigner } from "../trust/signer.ts";
import { unreadable } from "../weights/file-errors.ts";
import { otherFiles } from "./extra-files.ts";
import { type Item, verifySubject } from "./verify-subject.ts";

/** A directory, and the signature that its files are compared with. */
export interface VerifyModelSignatureRequest {
  dir: string;
  /** The file of the signature. */
  signature: string;
  /** Who must have signed; undefined is refused with `usage`. */
  signer: SignerSettings | undefined;
}

/** A signature has some 200 bytes for each file of the model. */
const maxSignatureBytes = 64 * 1024 * 1024;

/** Files that are looked at together, before they are read. */
const filesAtOnce = 32;

/**
 * Holds a directory against an OpenSSF model signature: every file that was signed, and no other. Nothing of the
 * signature is used before it is verified. Throws `integrity` where it is not by that signer, `usage`, `file`,
 * `system`; never for files that differ.
 */
export async function verifyModelSignature(
  job: JobContext,
  request: VerifyModelSignatureRequest,
): Promise<VerifyReport> {
  const session = openSession(job);
  if (request.signer === undefined) {
    throw new OcibundleError("usage", "--model-signature requires a key or an identity", {
      hint: "add --key FILE, or --certificate-identity with --certificate-oidc-issuer and --trusted-root",
    });
  }
  const signer = await openSigner(session, request.signer);
  const path = resolve(session.cwd, request.signature);
  const on = `"${request.signature}"`;
  const bytes = await readNamed(session.cwd, request.signature, "signature", maxSignatureBytes);
  const bundle = readBundle(bytes, on);
  if (bundle.envelope?.type !== statementType) {
    throw new OcibundleError("file", `${on} does not sign an in-toto statement`);
  }
  const verdict = judgeSigner(bundle, signer);
  if ("reason" in verdict) {
    throw new OcibundleError("integrity", `${on}: ${verdict.reason}`, {
      hint: "check the key or the identity, and the origin of the signature",
    });
  }
  const model = readSignedModel(bundle.envelope.payload, on);
  const dir = resolve(session.cwd, request.dir);
  const root = await realpath(dir).catch((cause: unknown) => {
    throw unreadable(dir, cause);
  });
  const items = await signedItems(session, model, { dir, root, on });
  const by = "key" in verdict ? `key ${verdict.key}` : verdict.identity;
  const name = `${request.signature}, signed by ${by}`;
  const known = new Set(items.map((item) => item.name));
  const ignored = model.ignored.map((below) => join(dir, below));
  const extra = () => otherFiles(dir, known, [path, ...ignored]);
  return verifySubject(session, { name, items, broken: [] }, { dir, quick: false, extra });
}

interface Where {
  dir: string;
  /** The same, over no symbolic link. */
  root: string;
  on: string;
}

/** The files that were signed, where they should be. Throws `file` for one that would lie elsewhere. */
async function signedItems(
  { signal }: Session,
  { files, allowsLinks }: SignedModel,
  { dir, root, on }: Where,
): Promise<Item[]> {
  for (const { name } of files) {
    const fault = destFault(`/${name}`);
    if (fault !== undefined) {
      throw new OcibundleError("file", `${on}: the path ${JSON.stringify(name)} ${fault}`);
    }
  }
  return parallel(files, filesAtOnce, signal, async ({ name, digest }): Promise<Item> => {
    const parts = name.split("/");
    const path = join(dir, ...parts);
    const item = { name: path, group: "weights" };
    try {
      const stats = await stat(path);
      const isLinked = (await realpath(path)) !== join(root, ...parts);
      const fault = !stats.isFile()
        ? "not a regular file"
        : isLinked && !allowsLinks
          ? "is behind a symbolic link, which the signature does not allow"
          : undefined;
      return {
        ...item,
        expected: { digest, size: stats.size },
        source: () =>
          fault === undefined
            ? Promise.resolve({ kind: "file", path, offset: 0 })
            : Promise.reject(new OcibundleError("integrity", fault)),
        exists: () => Promise.resolve(fault === undefined),
      };
    } catch (error) {
      if (errno(error) === undefined) throw error;
      return {
        ...item,
        expected: { digest, size: 0 },
        // What stands against it is said when its turn comes.
        source: () => Promise.reject(error),
        exists: () => Promise.resolve(false),
      };
    }
  });
}
