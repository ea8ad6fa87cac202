import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { readBundle } from "../../../src/trust/bundle.ts";
import {
  type Identity,
  type IdentityPattern,
  readTrustRoot,
  verifyIdentity,
} from "../../../src/trust/identity.ts";
import {
  type BundleOptions,
  testIdentity,
  testIssuer,
  testSigstore,
} from "../../support/sigstore.ts";

const digest = digestOf("a manifest");
const hour = 60 * 60_000;
const exact = (text: string) => ({ kind: "exact", text }) as const;
const ada: IdentityPattern = { identity: exact(testIdentity), issuer: exact(testIssuer) };

const sigstore = await testSigstore();

/** Who signed, or why that does not count. */
async function outcome(
  options: Partial<BundleOptions>,
  wanted: IdentityPattern = ada,
  trustedRoot = sigstore.trustedRoot,
): Promise<Identity | string> {
  const bundle = readBundle(await sigstore.bundle({ digest, ...options }), "bundle");
  try {
    return verifyIdentity(bundle.json, readTrustRoot(trustedRoot, "root"), wanted);
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "integrity") return error.message;
    throw error;
  }
}

describe("a bundle with a certificate", () => {
  test("is verified offline against a trusted root", async () => {
    expect(await outcome({})).toEqual({ identity: testIdentity, issuer: testIssuer });
  });

  test("of a workflow names it as a URL, and patterns match within", async () => {
    const identity =
      "https://github.com/acme/models/.github/workflows/release.yaml@refs/heads/main";
    const wanted: IdentityPattern = {
      identity: { kind: "pattern", pattern: /^https:\/\/github\.com\/acme\//u },
      issuer: { kind: "pattern", pattern: /accounts\.example/u },
    };
    expect(await outcome({ identity }, wanted)).toMatchObject({ identity });
    expect(await outcome({}, wanted)).toBe(`signed by "${testIdentity}"`);
  });

  test("of another identity or issuer is refused", async () => {
    expect(await outcome({ identity: "eve@example.com" })).toBe('signed by "eve@example.com"');
    expect(await outcome({ issuer: "https://evil.example.com" })).toBe(
      'issued by "https://evil.example.com"',
    );
    // Not a pattern: a dot is a dot.
    expect(await outcome({ identity: "adaXexample.com@example.com" })).toContain("signed by");
  });

  test("that had expired when it signed is refused, and one that has expired since is not", async () => {
    const from = Date.now() - 48 * hour;
    expect(await outcome({ from, signedAt: from + hour })).toContain("expired");
    expect(await outcome({ from })).toMatchObject({ identity: testIdentity });
  });

  test("without a time, or without the logs that the root lists, is refused", async () => {
    expect(await outcome({ withoutLog: true })).toContain("timestamps");
    expect(await outcome({ withoutSct: true })).toContain("SCTs");
  });

  test("of another authority is refused", async () => {
    const other = await testSigstore();
    expect(await outcome({}, ada, other.trustedRoot)).toBeString();
  });

  test("whose payload was changed is refused", async () => {
    const bytes = await sigstore.bundle({ digest });
    const changed = JSON.parse(Buffer.from(bytes).toString()) as {
      dsseEnvelope: { payload: string };
    };
    const payload = Buffer.from(changed.dsseEnvelope.payload, "base64").toString();
    const other = digestOf("another").slice("sha256:".length);
    changed.dsseEnvelope.payload = Buffer.from(payload.replace(/[0-9a-f]{64}/, other)).toString(
      "base64",
    );
    const root = readTrustRoot(sigstore.trustedRoot, "root");
    expect(() => verifyIdentity(changed, root, ada)).toThrow(OcibundleError);
  });

  test("that also signs something else is refused: what is verified must be the statement", async () => {
    const bundle = JSON.parse(Buffer.from(await sigstore.bundle({ digest })).toString()) as object;
    const messageSignature = {
      messageDigest: { algorithm: "SHA2_256", digest: "AAAA" },
      signature: "AAAA",
    };
    const root = readTrustRoot(sigstore.trustedRoot, "root");
    expect(() => verifyIdentity({ ...bundle, messageSignature }, root, ada)).toThrow(
      "does not sign an in-toto statement",
    );
  });

  test("is read with a byte order mark or without", async () => {
    const bytes = await sigstore.bundle({ digest });
    const marked = readBundle(Buffer.concat([Buffer.from("\uFEFF"), bytes]), "bundle");
    expect(marked).toEqual(readBundle(bytes, "bundle"));
  });
});

describe("a trusted root", () => {
  test("without logs asks for none of their entries", async () => {
    const { needs } = readTrustRoot((await testSigstore({ logs: false })).trustedRoot, "root");
    expect(needs).toEqual({ transparencyLog: 0, certificateLog: 0 });
    expect(readTrustRoot(sigstore.trustedRoot, "root").needs).toEqual({
      transparencyLog: 1,
      certificateLog: 1,
    });
  });

  test.each([
    ["no JSON", "no"],
    ["another document", "{}"],
    [
      "nobody to trust",
      '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[]}',
    ],
    [
      "what is no certificate",
      '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{"certChain":{"certificates":[{"rawBytes":"AAAA"}]}}]}',
    ],
  ])("with %s is a file error", (_what, text) => {
    expect(() => readTrustRoot(Buffer.from(text), "root.json")).toThrow(/^root\.json: /);
  });
});
