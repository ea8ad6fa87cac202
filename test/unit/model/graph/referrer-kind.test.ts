import { expect, test } from "bun:test";
import { kindOfReferrer } from "../../../../src/model/graph/referrer-kind.ts";
import { parseDate } from "../../../../src/model/graph/repository-node.ts";

const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
const predicate = (type: string) => ({ "dev.sigstore.bundle.predicateType": type });

test.each([
  ["application/vnd.dev.cosign.artifact.sig.v1+json", {}, "signature"],
  ["application/vnd.cncf.notary.signature", {}, "signature"],
  [bundle, {}, "signature"],
  [bundle, predicate("https://sigstore.dev/cosign/sign/v1"), "signature"],
  [bundle, predicate("https://slsa.dev/provenance/v1"), "attestation"],
  ["application/vnd.in-toto+json", {}, "attestation"],
  ["application/spdx+json", {}, "sbom"],
  ["application/vnd.cyclonedx+json", {}, "sbom"],
  ["application/vnd.acme.report", {}, "other"],
] as const)("%s with %j is taken for %s", (artifactType, annotations, kind) => {
  expect(kindOfReferrer({ artifactType, annotations })).toBe(kind);
});

test.each([
  ["sha256-00.sig", "signature"],
  ["sha256-00.att", "attestation"],
  ["sha256-00.sbom", "sbom"],
] as const)("cosign's tag %s is taken for %s, whatever the type", (tag, kind) => {
  expect(kindOfReferrer({ artifactType: "application/vnd.oci.image.config.v1+json" }, tag)).toBe(
    kind,
  );
});

test.each([
  ["2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678Z"],
  ["2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"],
])("the date %s is read", (text, date) => {
  expect(parseDate(text)?.toISOString()).toBe(date);
});

test.each(["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "soon", ""])(
  "%p is no date",
  (text) => {
    expect(parseDate(text)).toBeNull();
  },
);
