import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { readBundle } from "../../src/trust/bundle.ts";
import { readTrustRoot, verifyIdentity } from "../../src/trust/identity.ts";
import { readSignedModel } from "../../src/trust/model-signature.ts";
import { formatPem, pemBlocks } from "../../src/trust/pem.ts";
import { readPublicKey } from "../../src/trust/public-key.ts";
import { digestOfPayload, simplePayload } from "../../src/trust/simple-signing.ts";
import { readStatement, signStatement } from "../../src/trust/statement.ts";
import { testSigstore } from "../support/sigstore.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

/** Whatever comes in, only typed errors come out. */
function typed(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
  }
}

const documents = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.json().map((text): Uint8Array => Buffer.from(text)),
);

const parse = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString());
const encode = (document: unknown): Uint8Array => Buffer.from(JSON.stringify(document));

/** A JSON document with one of its values replaced by anything. */
const changed = (document: unknown): fc.Arbitrary<unknown> => {
  const paths: string[][] = [];
  const visit = (value: unknown, path: string[]): void => {
    paths.push(path);
    if (typeof value !== "object" || value === null) return;
    for (const [key, member] of Object.entries(value)) visit(member, [...path, key]);
  };
  visit(document, []);
  const replace = (value: unknown, [key, ...rest]: string[], by: unknown): unknown => {
    if (key === undefined) return by;
    if (typeof value !== "object" || value === null) return value;
    const members = Object.entries(value).map(([name, member]) => [
      name,
      name === key ? replace(member, rest, by) : (member as unknown),
    ]);
    return Array.isArray(value)
      ? members.map(([, member]) => member)
      : (Object.fromEntries(members) as unknown);
  };
  return fc
    .tuple(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 2 }))
    .map(([path, by]) => replace(document, path, by));
};

describe("what is signed", () => {
  test("names the digest that it was made for", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const digest = digestOf(text);
        expect(digestOfPayload(simplePayload("example.com/a", digest), "p")).toBe(digest);
        expect(readStatement(signStatement(digest), "s").subjects).toEqual([digest]);
      }),
      runs,
    );
  });

  test("may be anything", () => {
    fc.assert(
      fc.property(documents, (bytes) => {
        typed(() => digestOfPayload(bytes, "p"));
        typed(() => readStatement(bytes, "s"));
        typed(() => readBundle(bytes, "b"));
        typed(() => readSignedModel(bytes, "m"));
        typed(() => readTrustRoot(bytes, "r"));
      }),
      runs,
    );
  });
});

describe("PEM", () => {
  test("that was written reads back the same", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        const [block, ...more] = pemBlocks(`before\n${formatPem("SOME KEY", bytes)}after`);
        expect(more).toEqual([]);
        expect(block?.label).toBe("SOME KEY");
        expect(Buffer.from(block?.bytes ?? [])).toEqual(Buffer.from(bytes));
      }),
      runs,
    );
  });

  test("may hold anything", () => {
    const texts = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.constantFrom("PUBLIC KEY", "RSA PUBLIC KEY", "X"), fc.uint8Array())
        .map(([label, bytes]) => formatPem(label, bytes)),
    );
    fc.assert(
      fc.property(texts, (text) => typed(() => readPublicKey(text, "k"))),
      runs,
    );
  });
});

test("a bundle, or a trusted root, with one value changed is verified or refused, and never a bug", async () => {
  const sigstore = await testSigstore();
  const digest = digestOf("a manifest");
  const bundle = parse(await sigstore.bundle({ digest }));
  const root = parse(sigstore.trustedRoot);
  const anybody = { kind: "pattern", pattern: /./u } as const;
  const wanted = { identity: anybody, issuer: anybody };
  const trusted = readTrustRoot(sigstore.trustedRoot, "root");
  fc.assert(
    fc.property(changed(bundle), changed(root), (oneBundle, oneRoot) => {
      typed(() => verifyIdentity(readBundle(encode(oneBundle), "b").json, trusted, wanted));
      typed(() => verifyIdentity(bundle, readTrustRoot(encode(oneRoot), "r"), wanted));
    }),
    fewerRuns(0.05),
  );
});
