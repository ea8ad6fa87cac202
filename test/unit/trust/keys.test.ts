import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { OcibundleError } from "../../../src/errors.ts";
import { decryptKey, encryptKey } from "../../../src/trust/encrypted-key.ts";
import { formatPem, pemBlocks } from "../../../src/trust/pem.ts";
import { generateKeyPair, readPrivateKey } from "../../../src/trust/private-key.ts";
import { readPublicKey } from "../../../src/trust/public-key.ts";

const data = Buffer.from("what is signed");
const none = (): Promise<string> => Promise.reject(new Error("asked for a password"));
const given = (text: string) => () => Promise.resolve(text);

interface Pair {
  privateKey: KeyObject;
  publicKey: KeyObject;
}

const pairs: readonly (readonly [string, Pair])[] = [
  ["ECDSA P-256", generateKeyPairSync("ec", { namedCurve: "P-256" })],
  ["ECDSA P-384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["ECDSA P-521", generateKeyPairSync("ec", { namedCurve: "P-521" })],
  ["Ed25519", generateKeyPairSync("ed25519")],
  ["RSA 2048", generateKeyPairSync("rsa", { modulusLength: 2048 })],
];

const pkcs8 = ({ privateKey }: Pair): string => privateKey.export({ type: "pkcs8", format: "pem" });
const spki = ({ publicKey }: Pair): string => publicKey.export({ type: "spki", format: "pem" });

/** The message of the typed error that something fails with, behind its code. */
async function failure(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof OcibundleError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("keys in PEM", () => {
  test.each(pairs)("%s signs, and its public key verifies", async (name, pair) => {
    const key = await readPrivateKey(pkcs8(pair), "key", none);
    const publicKey = readPublicKey(spki(pair), "key.pub");
    expect(publicKey.algorithm).toBe(name);
    expect(publicKey.id).toBe(key.publicKey.id);
    const signature = key.sign(data);
    expect(publicKey.verify(data, signature)).toBe(true);
    expect(publicKey.verify(Buffer.from("something else"), signature)).toBe(false);
    expect(publicKey.verify(data, signature.subarray(1))).toBe(false);
    expect(publicKey.verify(data, Buffer.alloc(0))).toBe(false);
  });

  test("the larger curves are verified with SHA-256 too", () => {
    const [, , [, pair] = []] = pairs;
    if (pair === undefined) throw new Error("there is no such pair");
    const signature = sign("sha256", data, pair.privateKey);
    expect(readPublicKey(spki(pair), "key.pub").verify(data, signature)).toBe(true);
  });

  test.each([
    ["EC PRIVATE KEY", "sec1", pairs[0]],
    ["RSA PRIVATE KEY", "pkcs1", pairs[4]],
  ] as const)("%s is read", async (label, type, entry) => {
    if (entry === undefined) throw new Error("there is no such pair");
    const pem = entry[1].privateKey.export({ type, format: "pem" });
    expect(pem).toContain(label);
    const key = await readPrivateKey(pem, "key", none);
    expect(readPublicKey(spki(entry[1]), "pub").verify(data, key.sign(data))).toBe(true);
  });

  test("an encrypted PKCS#8 key needs its password", async () => {
    const [[, pair] = []] = pairs;
    const pem =
      pair?.privateKey
        .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" })
        .toString() ?? "";
    const key = await readPrivateKey(pem, "key", given("secret"));
    expect(key.publicKey.verify(data, key.sign(data))).toBe(true);
    expect(await failure(() => readPrivateKey(pem, "key", given("wrong")))).toBe(
      "denied: key: wrong password",
    );
  });

  test("of other kinds are refused by name", async () => {
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
    expect(await failure(() => readPublicKey(spki(small), "pub"))).toBe(
      "file: pub: RSA keys of 1024 bits are not supported",
    );
    const curve = generateKeyPairSync("ec", { namedCurve: "secp224r1" });
    expect(await failure(() => readPublicKey(spki(curve), "pub"))).toContain("secp224r1");
    const exchange = generateKeyPairSync("x25519");
    expect(await failure(() => readPrivateKey(pkcs8(exchange), "key", none))).toContain("x25519");
  });

  test("that are the wrong half, or no keys, are refused by name", async () => {
    const [[, pair] = []] = pairs;
    if (pair === undefined) throw new Error("there is no such pair");
    expect(await failure(() => readPublicKey(pkcs8(pair), "k"))).toBe("file: k is a private key");
    expect(await failure(() => readPrivateKey(spki(pair), "k", none))).toBe(
      'file: k: "PUBLIC KEY" is not a private key',
    );
    const certificate = formatPem("CERTIFICATE", Buffer.from("x"));
    expect(await failure(() => readPublicKey(certificate, "k"))).toContain('"CERTIFICATE" is not');
    for (const text of ["", "hello", "-----BEGIN PUBLIC KEY-----"]) {
      expect(await failure(() => readPublicKey(text, "k"))).toContain("is not a key");
      expect(await failure(() => readPrivateKey(text, "k", none))).toContain("is not a key");
    }
    const broken = formatPem("PUBLIC KEY", Buffer.from("not DER"));
    expect(await failure(() => readPublicKey(broken, "k"))).toContain("malformed");
    const brokenKey = formatPem("PRIVATE KEY", Buffer.from("not DER"));
    expect(await failure(() => readPrivateKey(brokenKey, "k", none))).toContain("malformed");
  });
});

describe("keys as cosign encrypts them", () => {
  test("a new pair is read with its password only", async () => {
    const { privatePem, publicKey } = await generateKeyPair("secret");
    expect(privatePem).toStartWith("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n");
    const key = await readPrivateKey(privatePem, "key", given("secret"));
    expect(readPublicKey(publicKey.pem, "pub").verify(data, key.sign(data))).toBe(true);
    expect(await failure(() => readPrivateKey(privatePem, "key", given("wrong")))).toBe(
      "denied: key: wrong password",
    );
  });

  test("costs that nobody uses are refused before they are paid", async () => {
    const [block] = pemBlocks(formatPem("X", await encryptKey(Buffer.from("key"), "")));
    const document = JSON.parse(Buffer.from(block?.bytes ?? []).toString()) as {
      kdf: { params: { N: number } };
    };
    document.kdf.params.N = 2 ** 30;
    const bytes = Buffer.from(JSON.stringify(document));
    expect(await failure(() => decryptKey(bytes, "", "key"))).toContain("kdf.params.N");
  });

  test("other documents are refused", async () => {
    for (const text of ["", "{}", "[]", '{"kdf":{"name":"pbkdf2"}}']) {
      const pem = formatPem("ENCRYPTED COSIGN PRIVATE KEY", Buffer.from(text));
      expect(await failure(() => readPrivateKey(pem, "key", given("")))).toStartWith("file: key");
    }
  });
});
