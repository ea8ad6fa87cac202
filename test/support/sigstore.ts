import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  webcrypto,
} from "node:crypto";
import type * as X509 from "@peculiar/x509";
import type { Digest } from "../../src/oci/digest.ts";
import { bundleType } from "../../src/trust/bundle.ts";
import { preAuthEncoding, signStatement, statementType } from "../../src/trust/statement.ts";

// What the library stands on comes first.
await import("reflect-metadata");
const x509 = await import("@peculiar/x509");

/** A Sigstore of a test's own: an authority that certifies identities, a transparency log and a certificate log. */
export interface TestSigstore {
  /** `trusted_root.json`. */
  trustedRoot: Uint8Array;
  /** A bundle, as cosign writes one without a key. */
  bundle(options: BundleOptions): Promise<Uint8Array>;
}

export interface BundleOptions {
  /** What is signed. */
  digest: Digest;
  /** In place of the statement about it. */
  statement?: Uint8Array;
  identity?: string;
  issuer?: string;
  /** When the certificate becomes valid, in milliseconds; it is for ten minutes. */
  from?: number;
  /** When the log says that it was signed, in milliseconds. */
  signedAt?: number;
  /** Without an entry of the certificate log. */
  withoutSct?: boolean;
  /** Without an entry of the transparency log, and so without a time. */
  withoutLog?: boolean;
}

export const testIdentity = "ada@example.com";
export const testIssuer = "https://accounts.example.com";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const minutes = 60_000;
const subtle = webcrypto as unknown as Crypto;
const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const base64 = (bytes: Uint8Array | ArrayBuffer): string =>
  Buffer.from(bytes as Uint8Array).toString("base64");

const newKeys = (): Promise<CryptoKeyPair> =>
  subtle.subtle.generateKey(algorithm, true, ["sign", "verify"]);

interface Log {
  key: KeyObject;
  spki: Buffer;
  id: Buffer;
  name: string;
}

function newLog(name: string): Log {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  return { key: privateKey, spki, id: sha256(spki), name };
}

const logEntry = ({ spki, id, name }: Log) => ({
  baseUrl: `https://${name}`,
  hashAlgorithm: "SHA2_256",
  publicKey: {
    rawBytes: base64(spki),
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
    validFor: { start: "2020-01-01T00:00:00Z" },
  },
  logId: { keyId: base64(id) },
});

/** Sets up one. `parts` leaves logs out of the trusted root. */
export async function testSigstore(
  parts: { logs: boolean } = { logs: true },
): Promise<TestSigstore> {
  const authorityKeys = await newKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: "01",
      name: "CN=test sigstore",
      notBefore: new Date("2020-01-01"),
      notAfter: new Date("2050-01-01"),
      keys: authorityKeys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey, false, subtle),
      ],
    },
    subtle,
  );
  const [rekor, ct] = [newLog("rekor.test"), newLog("ct.test")];
  const trustedRoot = Buffer.from(
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: parts.logs ? [logEntry(rekor)] : [],
      certificateAuthorities: [
        {
          subject: { organization: "test", commonName: "test sigstore" },
          uri: "https://fulcio.test",
          certChain: { certificates: [{ rawBytes: base64(authority.rawData) }] },
          validFor: { start: "2020-01-01T00:00:00Z" },
        },
      ],
      ctlogs: parts.logs ? [logEntry(ct)] : [],
      timestampAuthorities: [],
    }),
  );
  return {
    trustedRoot,
    async bundle(options) {
      const { digest, statement = signStatement(digest), from = Date.now() - minutes } = options;
      const keys = await newKeys();
      const certificate = await certify(keys, { ...options, from });
      const key = createPrivateKey({
        key: Buffer.from(await subtle.subtle.exportKey("pkcs8", keys.privateKey)),
        format: "der",
        type: "pkcs8",
      });
      const signature = sign("sha256", preAuthEncoding(statementType, statement), key);
      const entry = tlogEntry(rekor, statement, signature, options.signedAt ?? from + minutes);
      return Buffer.from(
        JSON.stringify({
          mediaType: bundleType,
          verificationMaterial: {
            certificate: { rawBytes: base64(certificate.rawData) },
            tlogEntries: options.withoutLog === true ? [] : [entry],
          },
          dsseEnvelope: {
            payload: base64(statement),
            payloadType: statementType,
            signatures: [{ sig: base64(signature) }],
          },
        }),
      );
    },
  };

  async function certify(
    keys: CryptoKeyPair,
    {
      identity = testIdentity,
      issuer = testIssuer,
      from,
      withoutSct,
    }: BundleOptions & { from: number },
  ): Promise<X509.X509Certificate> {
    const name = identity.includes("://")
      ? ({ type: "url", value: identity } as const)
      : ({ type: "email", value: identity } as const);
    const extensions: X509.Extension[] = [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.codeSigning]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, subtle),
      await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey, false, subtle),
      new x509.SubjectAlternativeNameExtension([name], true),
      // Fulcio's extension for the issuer, a UTF8String.
      new x509.Extension("1.3.6.1.4.1.57264.1.8", false, der(0x0c, Buffer.from(issuer))),
    ];
    const make = (more: X509.Extension[]): Promise<X509.X509Certificate> =>
      x509.X509CertificateGenerator.create(
        {
          serialNumber: "02",
          subject: "",
          issuer: authority.subject,
          notBefore: new Date(from),
          notAfter: new Date(from + 10 * minutes),
          publicKey: keys.publicKey,
          signingKey: authorityKeys.privateKey,
          signingAlgorithm: algorithm,
          extensions: [...extensions, ...more],
        },
        subtle,
      );
    const without = await make([]);
    if (withoutSct === true) return without;
    return make([sctExtension(without, from)]);
  }

  /** RFC 6962, 3.2 and 3.3: what the certificate log says of a certificate without this extension. */
  function sctExtension(certificate: X509.X509Certificate, at: number): X509.Extension {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(at));
    const tbs = firstElement(Buffer.from(certificate.rawData));
    const signed = Buffer.concat([
      Buffer.from([0, 0]),
      time,
      Buffer.from([0, 1]),
      sha256(Buffer.from(authority.publicKey.rawData)),
      length(tbs.length, 3),
      tbs,
      length(0, 2),
    ]);
    const signature = sign("sha256", signed, ct.key);
    const sct = Buffer.concat([
      Buffer.from([0]),
      ct.id,
      time,
      length(0, 2),
      Buffer.from([4, 3]),
      length(signature.length, 2),
      signature,
    ]);
    const list = Buffer.concat([length(sct.length + 2, 2), length(sct.length, 2), sct]);
    return new x509.Extension("1.3.6.1.4.1.11129.2.4.2", false, der(0x04, list));
  }
}

/** An entry as Rekor has it, in a log that holds nothing else. */
function tlogEntry(log: Log, statement: Uint8Array, signature: Buffer, at: number) {
  const body = Buffer.from(
    JSON.stringify({
      apiVersion: "0.0.1",
      kind: "dsse",
      spec: {
        payloadHash: { algorithm: "sha256", value: sha256(statement).toString("hex") },
        signatures: [{ signature: base64(signature) }],
      },
    }),
  );
  const integratedTime = Math.floor(at / 1000);
  const promise = JSON.stringify({
    body: base64(body),
    integratedTime,
    logID: log.id.toString("hex"),
    logIndex: 0,
  });
  const root = sha256(Buffer.from([0]), body);
  const note = `${log.name}\n1\n${base64(root)}\n`;
  const noteSignature = Buffer.concat([
    log.id.subarray(0, 4),
    sign("sha256", Buffer.from(note), log.key),
  ]);
  return {
    logIndex: "0",
    logId: { keyId: base64(log.id) },
    kindVersion: { kind: "dsse", version: "0.0.1" },
    integratedTime: String(integratedTime),
    inclusionPromise: {
      signedEntryTimestamp: base64(sign("sha256", Buffer.from(promise), log.key)),
    },
    inclusionProof: {
      logIndex: "0",
      rootHash: base64(root),
      treeSize: "1",
      hashes: [],
      checkpoint: { envelope: `${note}\n\u2014 ${log.name} ${base64(noteSignature)}\n` },
    },
    canonicalizedBody: base64(body),
  };
}

function length(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

function der(tag: number, content: Buffer): Buffer<ArrayBuffer> {
  const size =
    content.length < 128
      ? Buffer.from([content.length])
      : Buffer.concat([Buffer.from([0x82]), length(content.length, 2)]);
  return Buffer.concat([Buffer.from([tag]), size, content]);
}

/** The first element of a DER sequence, with its header: of a certificate what is signed. */
function firstElement(bytes: Buffer): Buffer {
  const headerAt = (at: number): { header: number; size: number } => {
    const first = bytes[at + 1] ?? 0;
    if (first < 128) return { header: 2, size: first };
    const count = first & 0x7f;
    return { header: 2 + count, size: bytes.readUIntBE(at + 2, count) };
  };
  const start = headerAt(0).header;
  const { header, size } = headerAt(start);
  return bytes.subarray(start, start + header + size);
}
