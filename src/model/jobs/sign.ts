import type { Digest } from "../../oci/digest.ts";
import { formatRepository, pinned, referenceTarget } from "../../oci/reference.ts";
import type { SignatureFormat, Signed } from "../../report/signatures.ts";
import { readPrivateKey } from "../../trust/private-key.ts";
import { readGraph } from "../graph/content-graph.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import { checkSignature } from "../trust/check-signature.ts";
import { readKeyText } from "../trust/key-source.ts";
import { storedSignatures } from "../trust/stored-signatures.ts";
import { writeBundle, writeTagged } from "../trust/write-signature.ts";

/** What is signed, with which key, and in which formats. */
export interface SignRequest {
  reference: string;
  /** A file or `env://NAME`. */
  key: string;
  /** Asked for only where the key has one. */
  password: () => Promise<string>;
  formats: readonly SignatureFormat[];
  /** Also everything that an index lists. */
  recursive: boolean;
}

/**
 * Signs a manifest of a registry with a private key. Signatures that are there stay; one of the same key is not
 * made twice. Throws `usage`, `file`, `not_found`, `denied` (also for a wrong password), `network`, `conflict`.
 */
export async function signReference(job: JobContext, request: SignRequest): Promise<Signed> {
  const { reference } = parseRegistryPlace(request.reference, "sign");
  const session = openSession(job);
  const { signal } = session;
  const { text, on } = await readKeyText(session, request.key);
  const key = await readPrivateKey(text, on, request.password);
  const reader = session.originReader(reference);
  const root = await reader.readManifest(referenceTarget(reference), signal);
  const below = request.recursive ? (await readGraph(reader, root, signal)).children : [];
  const writer = session.writer(reference);
  const options = { signal, emit: session.emit, concurrency: session.flags.concurrency };
  const signer = { kind: "key", key: key.publicKey } as const;
  const signatures: Signed["signatures"] = [];
  for (const subject of [...below, root]) {
    const done = new Map<SignatureFormat, Digest>();
    for await (const stored of storedSignatures(reader, subject.digest, session)) {
      const checked = checkSignature(stored, subject.digest, [signer]);
      if (checked?.valid === true && checked.format !== null) {
        done.set(checked.format, checked.digest);
      }
    }
    const target = { subject, repository: formatRepository(reference), writer, options };
    for (const format of request.formats) {
      const known = done.get(format);
      const write = format === "bundle" ? writeBundle : writeTagged;
      signatures.push({
        subject: subject.digest,
        format,
        digest: known ?? (await write(target, key)),
        outcome: known === undefined ? "signed" : "present",
      });
    }
  }
  return {
    reference: pinned(reference, root.digest),
    digest: root.digest,
    key: key.publicKey.fingerprint,
    signatures,
  };
}
