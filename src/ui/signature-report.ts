import { shortDigest } from "../oci/digest.ts";
import type { GeneratedKeyPair, Signed, SignatureReport } from "../report/signatures.ts";
import { lastLine, resultLine } from "./result-line.ts";
import { renderTable } from "./table.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

/** What `sign` shows: a line for each signature, and one on the key. */
export function signReport(result: Signed, { columns }: View = {}): string {
  const { reference, digest: signed, key, signatures } = result;
  const rows = signatures.map(({ subject, format, digest, outcome }) => [
    outcome === "present" ? "already signed" : outcome,
    shortDigest(subject),
    format,
    shortDigest(digest),
  ]);
  const line = (shown: string) =>
    `signed ${escapeText(reference.replace(signed, shown))} with key ${key}\n`;
  return renderTable(rows) + resultLine(signed, line, columns);
}

/** What `generate-key-pair` shows. */
export const keyPairReport = (result: GeneratedKeyPair): string =>
  `private key  ${escapeText(result.privateKey)}\n` +
  `public key   ${escapeText(result.publicKey)}\n` +
  `${result.key}\n`;

/** What `verify --signature` shows: a line for each signature, and a last one as `verify` has it. */
export function signatureReport(result: SignatureReport, { columns }: View = {}): string {
  const { name, digest, signatures } = result;
  const rows = signatures.map((one) => [
    one.valid ? "valid" : "invalid",
    one.format ?? "unreadable",
    shortDigest(one.digest),
    {
      text: one.reason ?? one.key ?? `${one.identity ?? ""}, issued by ${one.issuer ?? ""}`,
      wrap: true as const,
    },
  ]);
  const valid = signatures.filter((one) => one.valid).length;
  const count = `${signatures.length} signature${signatures.length === 1 ? "" : "s"}`;
  const verdict =
    valid > 0
      ? `OK: ${valid} of ${count} valid`
      : signatures.length === 0
        ? "FAILED: no signature"
        : `FAILED: 0 of ${count} valid`;
  const line = `${verdict} for ${escapeText(name)} (${shortDigest(digest)})`;
  return renderTable(rows, { columns }) + lastLine(line, columns);
}
