import { type Digest, digestAlgorithm, digestHex } from "./digest.ts";

/** A tag has at most so many characters of a digest (distribution-spec v1.1, "Referrers Tag Schema"). */
const maxHex = 64;

/** The tag that stands in for the referrers API: `sha256-<64 digits>`, `sha512-<the first 64 digits>`. */
export const referrersTag = (digest: Digest): string =>
  `${digestAlgorithm(digest)}-${digestHex(digest).slice(0, maxHex)}`;

/** The tags under which a list of referrers may be found: some clients cut a sha512 at 128 characters. */
export const referrersTags = (digest: Digest): string[] => [
  ...new Set([
    referrersTag(digest),
    `${digestAlgorithm(digest)}-${digestHex(digest)}`.slice(0, 128),
  ]),
];

const cosignSuffixes = ["sig", "att", "sbom"] as const;

/** Where cosign keeps what belongs to a manifest when it does not use `subject`. */
export const cosignTags = (digest: Digest): string[] =>
  digestAlgorithm(digest) === "sha256"
    ? cosignSuffixes.map((suffix) => `sha256-${digestHex(digest)}.${suffix}`)
    : [];

/** Whether a tag is one of those above, and so names no image of its own. */
export const isAttachmentTag = (tag: string): boolean =>
  /^sha(?:256|512)-[0-9a-f]{64,121}(?:\.(?:sig|att|sbom))?$/.test(tag);
