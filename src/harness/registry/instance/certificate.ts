import { randomBytes, webcrypto } from "node:crypto";

/** Certificates of a registry on this machine, as PEM texts. */
export interface LocalCertificates {
  /** What a client has to trust. */
  ca: string;
  cert: string;
  key: string;
}

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const lifetime = 30 * 24 * 60 * 60 * 1000;
/** Clocks of containers are sometimes behind. */
const before = 60 * 60 * 1000;

/**
 * Makes an authority and a certificate of it for 127.0.0.1, ::1 and localhost, good for 30 days from
 * `now`. The authority's key is forgotten, so that it signs nothing else ever.
 */
export async function makeCertificates(now = Date.now()): Promise<LocalCertificates> {
  // Large, and of use to few: loaded only here. The other one is what the library stands on.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const crypto = webcrypto as unknown as Crypto;
  const newKeys = (): Promise<CryptoKeyPair> =>
    crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  const [authorityKeys, keys] = [await newKeys(), await newKeys()];
  const notBefore = new Date(now - before);
  const validity = { notBefore, notAfter: new Date(now + lifetime) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      serialNumber: serialNumber(),
      name: "CN=ocibundle registry authority",
      keys: authorityKeys,
      signingAlgorithm: keyAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...validity,
      serialNumber: serialNumber(),
      subject: "CN=ocibundle registry",
      issuer: authority.subject,
      publicKey: keys.publicKey,
      signingKey: authorityKeys.privateKey,
      signingAlgorithm: keyAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          { type: "ip", value: "127.0.0.1" },
          { type: "ip", value: "::1" },
          { type: "dns", value: "localhost" },
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    ca: `${authority.toString("pem")}\n`,
    cert: `${certificate.toString("pem")}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${wrapped(key.toString("base64"))}\n-----END PRIVATE KEY-----\n`,
  };
}

/** Positive, and without a leading zero that some readers refuse. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

const wrapped = (base64: string): string => base64.replaceAll(/.{64}(?=.)/g, "$&\n");
