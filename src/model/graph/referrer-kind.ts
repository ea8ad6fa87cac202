import type { Descriptor } from "../../oci/descriptor.ts";
import type { ReferrerKind } from "../../report/referrers.ts";

const signatureTypes = /^application\/vnd\.(?:dev\.cosign\.|cncf\.notary\.signature)/;
const sigstoreBundle = /^application\/vnd\.dev\.sigstore\.bundle/;
const attestationTypes = /in-toto|slsa|openvex|attestation/;
const sbomTypes = /spdx|cyclonedx|syft|sbom/;

/** The predicate of a signature that is written as an attestation, as cosign 3 does. */
const signPredicate = "https://sigstore.dev/cosign/sign/v1";

const byCosignTag: Readonly<Record<string, ReferrerKind>> = {
  sig: "signature",
  att: "attestation",
  sbom: "sbom",
};

/** Tells by type, annotations and, where it was found by one of cosign's tags, by the tag. */
export function kindOfReferrer(
  { artifactType, annotations }: Pick<Descriptor, "artifactType" | "annotations">,
  tag?: string,
): ReferrerKind {
  const suffix = /\.(sig|att|sbom)$/.exec(tag ?? "")?.[1];
  if (suffix !== undefined) return byCosignTag[suffix] ?? "other";
  const type = artifactType?.toLowerCase() ?? "";
  if (sigstoreBundle.test(type)) {
    const predicate = annotations?.["dev.sigstore.bundle.predicateType"];
    return predicate === undefined || predicate === signPredicate ? "signature" : "attestation";
  }
  if (sbomTypes.test(type)) return "sbom";
  if (attestationTypes.test(type)) return "attestation";
  return signatureTypes.test(type) ? "signature" : "other";
}
