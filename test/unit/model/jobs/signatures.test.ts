import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pushModel } from "../../../../src/model/jobs/push.ts";
import { signReference } from "../../../../src/model/jobs/sign.ts";
import { verifySignature } from "../../../../src/model/jobs/verify-signature.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import type { VerifySettings } from "../../../../src/model/session/verify-settings.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { bundleType } from "../../../../src/trust/bundle.ts";
import { readPrivateKey } from "../../../../src/trust/private-key.ts";
import { readPublicKey } from "../../../../src/trust/public-key.ts";
import { testIdentity, testIssuer, testSigstore } from "../../../support/sigstore.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, jobIn, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const repository = "acme/model";
const weights = "the bytes of the weights".repeat(1000);

interface Bench {
  registry: RecordingRegistry;
  job: Job;
  reference: string;
  /** The index of a pushed model. */
  root: Descriptor;
}

/** A model in a registry, and `cosign.key` with `cosign.pub` beside it. */
async function bench(): Promise<Bench> {
  const registry = await recordingRegistry();
  const job = await preparedJob({ "a.bin": weights });
  const reference = `${registry.host}/${repository}:v1`;
  const { model } = await pushModel(job, {
    ...pushOfNothing,
    reference,
    weights: ["weights"],
  });
  await writeKeys(job, "cosign");
  const { mediaType, digest, size } = model;
  return { registry, job, reference, root: { mediaType, digest, size } };
}

async function writeKeys({ cwd }: Job, name: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(join(cwd, `${name}.key`), pem);
  await writeFile(join(cwd, `${name}.pub`), publicKey.export({ type: "spki", format: "pem" }));
}

const signWith = (
  { job, reference }: Bench,
  name = "cosign",
  formats: ("bundle" | "tag")[] = ["bundle"],
) =>
  signReference(job, {
    reference,
    key: `${name}.key`,
    password: () => Promise.reject(new Error("asked for a password")),
    formats,
    recursive: false,
  });

const byKey = (name = "cosign"): VerifySettings => [{ kind: "key", key: `${name}.pub` }];

const pullSigned = ({ job, reference }: Bench, requires?: VerifySettings) =>
  pullWeights(job, {
    source: reference,
    output: "out",
    only: [],
    force: false,
    useCache: false,
    requires,
  });

/** A referrer with a bundle as its only layer. */
async function putBundle({ registry, root }: Bench, bundle: Uint8Array): Promise<void> {
  const config = await putBlob(registry, repository, "{}", mediaTypes.ociEmpty);
  const layer = await putBlob(registry, repository, new Uint8Array(bundle), bundleType);
  await putManifest(registry, repository, undefined, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: bundleType,
    config,
    layers: [layer],
    subject: root,
  });
}

/** What was asked of the registry but what it takes to look at signatures, from now on. */
function recorded({ registry, root }: Bench): () => string[] {
  const from = registry.seen.length;
  return () =>
    registry.seen
      .slice(from)
      .map(({ method, path }) => `${method} ${path}`)
      .filter((line) => !/\/v2\/$|\/manifests\/v1$|\/referrers\/|\/manifests\/sha256-/.test(line))
      .filter((line) => !line.endsWith(root.digest));
}

describe("a pull that requires a signature", () => {
  test("asks for nothing but signatures, and places nothing, where there is none", async () => {
    const place = await bench();
    const asked = recorded(place);
    const error = await failureOf(pullSigned(place, byKey()));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain("no signature of");
    expect(asked()).toEqual([]);
    expect(existsSync(join(place.job.cwd, "out", "src"))).toBe(false);
  });

  test("reads what was signed, wherever the tag moves meanwhile", async () => {
    const place = await bench();
    await signWith(place);
    const { registry } = place;
    const other = await putManifest(registry, repository, "other", {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
    });
    // From its first answer on, the tag is that of something else.
    let answers = 0;
    registry.meddle((request, next) => {
      if (!request.url.endsWith("/manifests/v1")) return next(request);
      answers += 1;
      if (answers === 1) return next(request);
      return next(
        new Request(request.url.replace(/v1$/, other.digest), { method: request.method }),
      );
    });
    const report = await pullSigned(place, byKey());
    expect(report.reference).toEndWith(place.root.digest);
    expect(await Bun.file(report.files[0]?.path ?? "").text()).toBe(weights);
    expect(answers).toBe(1);
  });

  test("fails as the look-up does where signatures cannot be looked up", async () => {
    const place = await bench();
    await signWith(place);
    place.registry.meddle((request, next) =>
      request.url.includes("/referrers/") ? new Response(null, { status: 403 }) : next(request),
    );
    const asked = recorded(place);
    expect((await failureOf(pullSigned(place, byKey()))).code).toBe("denied");
    expect(asked()).toEqual([]);
  });

  test("is content with one valid signature among broken ones", async () => {
    const place = await bench();
    await writeKeys(place.job, "eve");
    await signWith(place, "eve", ["bundle", "tag"]);
    await putBundle(place, Buffer.from("no bundle"));
    await putBundle(place, Buffer.alloc(2 * 1024 * 1024, "x"));
    const error = await failureOf(pullSigned(place, byKey()));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain("4 were found");
    expect(error.message).toContain("signed by another key");
    await signWith(place);
    expect((await pullSigned(place, byKey())).files).toHaveLength(1);
  });

  test("takes no signature of another digest", async () => {
    const place = await bench();
    const { registry, job, root } = place;
    await signWith(place, "cosign", ["bundle", "tag"]);
    const bytes = await registry.ask(`/v2/${repository}/manifests/${root.digest}`);
    const document = (await bytes.json()) as { mediaType: string };
    // The same content with a note of somebody else: another digest, with all signatures of the first.
    const other = await putManifest(registry, repository, "v2", {
      ...document,
      annotations: { note: "changed" },
    });
    const old = `sha256-${root.digest.slice(7)}.sig`;
    const tagged = await registry.ask(`/v2/${repository}/manifests/${old}`);
    const signatures = (await tagged.json()) as { mediaType: string };
    await putManifest(registry, repository, `sha256-${other.digest.slice(7)}.sig`, signatures);
    const list = await registry.ask(`/v2/${repository}/referrers/${root.digest}`);
    const { manifests } = (await list.json()) as { manifests: { digest: string }[] };
    const found = await registry.ask(`/v2/${repository}/manifests/${manifests[0]?.digest}`);
    const referrer = (await found.json()) as { mediaType: string };
    await putManifest(registry, repository, undefined, { ...referrer, subject: other });
    const source = `${registry.host}/${repository}:v2`;
    const report = await verifySignature(job, { source, signers: byKey() });
    expect(report.signatures.map(({ reason }) => reason)).toEqual([
      `is for another digest, ${root.digest}`,
      `is for another digest, ${root.digest}`,
    ]);
    expect(report.valid).toBe(false);
  });
});

test("without the referrers API, bundles are listed under the fallback tag, beside what is there", async () => {
  const place = await bench();
  const { registry, job, root } = place;
  await writeKeys(job, "second");
  registry.meddle(async (request, next) => {
    if (request.url.includes("/referrers/")) return new Response(null, { status: 404 });
    const answer = await next(request);
    answer.headers.delete("oci-subject");
    return answer;
  });
  await signWith(place);
  await signWith(place, "second");
  expect((await signWith(place)).signatures).toMatchObject([{ outcome: "present" }]);
  const list = await registry.ask(`/v2/${repository}/manifests/sha256-${root.digest.slice(7)}`);
  expect(((await list.json()) as { manifests: unknown[] }).manifests).toHaveLength(2);
  for (const name of ["cosign", "second"]) {
    const report = await verifySignature(job, { source: place.reference, signers: byKey(name) });
    expect(report.signatures.map(({ valid }) => valid).toSorted()).toEqual([false, true]);
  }
});

const configured = async ({ job, registry }: Bench, text: string): Promise<void> => {
  const path = join(job.cwd, "config.yaml");
  await writeFile(path, text.replaceAll("HOST", registry.host));
  job.flags.config = path;
};

describe("what the configuration requires", () => {
  test("holds for a registry that has settings of its own", async () => {
    const place = await bench();
    await configured(
      place,
      "registries: { HOST: { plainHttp: true }, '*': { verify: { key: cosign.pub } } }",
    );
    expect((await failureOf(pullSigned(place))).code).toBe("integrity");
    await signWith(place);
    await pullSigned(place);
  });

  test("is the longest match, and a flag comes first", async () => {
    const place = await bench();
    await writeKeys(place.job, "eve");
    await configured(
      place,
      `registries:
  HOST:
    verify: { key: eve.pub }
    repositories:
      "acme/*": { verify: [{ key: eve.pub }, { key: cosign.pub }] }
      "ac/*": { verify: false }`,
    );
    await signWith(place);
    await pullSigned(place);
    expect((await failureOf(pullSigned(place, byKey("eve")))).code).toBe("integrity");
  });

  test("is read before it is needed to be right, and its key then", async () => {
    const place = await bench();
    await configured(place, "registries: { HOST: { verify: { key: missing.pub } } }");
    const error = await failureOf(pullSigned(place));
    expect(error.code).toBe("file");
    expect(error.message).toContain("missing.pub");
  });
});

const by = (identity: string, issuer: string): VerifySettings => [
  { kind: "identity", identity, issuer, trustedRoot: "root.json" },
];

test("a certificate for an identity is verified offline, with its issuer", async () => {
  const place = await bench();
  const sigstore = await testSigstore();
  await putBundle(place, await sigstore.bundle({ digest: place.root.digest }));
  await writeFile(join(place.job.cwd, "root.json"), sigstore.trustedRoot);
  await pullSigned(place, by(testIdentity, testIssuer));
  const { signatures } = await verifySignature(place.job, {
    source: place.reference,
    signers: by(testIdentity, testIssuer),
  });
  expect(signatures).toMatchObject([
    { valid: true, identity: testIdentity, issuer: testIssuer, key: null },
  ]);
  for (const [identity, issuer] of [
    ["eve@example.com", testIssuer],
    [testIdentity, "https://other.example.com"],
  ] as const) {
    const error = await failureOf(pullSigned(place, by(identity, issuer)));
    expect(error.code).toBe("integrity");
  }
  expect((await failureOf(pullSigned(place, byKey()))).message).toContain("with a certificate");
});

describe("what cosign 3.1.3 has signed", () => {
  const fixture = join(import.meta.dir, "../../../fixtures/cosign");

  test("is verified in both forms, and is not taken for another's", async () => {
    const job = jobIn(await temporaryDirectory());
    await writeKeys(job, "other");
    const source = `oci:${join(fixture, "model")}:v1`;
    const verify = (key: string) =>
      verifySignature(job, { source, signers: [{ kind: "key", key }] });
    const { signatures } = await verify(join(fixture, "cosign.pub"));
    expect(signatures.map(({ format, valid }) => [format, valid])).toEqual([
      ["tag", true],
      ["bundle", true],
    ]);
    expect((await verify("other.pub")).valid).toBe(false);
  });

  test("was signed with a key that is read with its password", async () => {
    const text = await Bun.file(join(fixture, "cosign.key")).text();
    const key = await readPrivateKey(text, "cosign.key", () => Promise.resolve("pw"));
    const pem = await Bun.file(join(fixture, "cosign.pub")).text();
    expect(key.publicKey.id).toBe(readPublicKey(pem, "cosign.pub").id);
  });
});

test("a bundle about something else, or that attests something, is no signature", async () => {
  const place = await bench();
  const sigstore = await testSigstore();
  await writeFile(join(place.job.cwd, "root.json"), sigstore.trustedRoot);
  const { digest } = place.root;
  const statement = Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ digest: { sha256: digest.slice(7) } }],
      predicateType: "https://slsa.dev/provenance/v1",
      predicate: {},
    }),
  );
  await putBundle(place, await sigstore.bundle({ digest, statement }));
  const signers: VerifySettings = [
    { kind: "identity", identity: testIdentity, issuer: testIssuer, trustedRoot: "root.json" },
  ];
  const verify = () => verifySignature(place.job, { source: place.reference, signers });
  expect((await verify()).signatures).toEqual([]);
  const other = digestOf("another");
  await putBundle(place, await sigstore.bundle({ digest: other }));
  expect((await verify()).signatures).toMatchObject([
    { valid: false, reason: `is for another digest, ${other}` },
  ]);
});
