import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { shortDigest } from "../../oci/digest.ts";
import type { ContentGraph } from "./content-graph.ts";

/** Reads what is about to be published, from where its bytes lie now: so that it is described as it will be. */
export function graphReader(
  { root, children, blobs }: Pick<ContentGraph, "root" | "children" | "blobs">,
  name: string,
): ContentReader {
  const byDigest = new Map(blobs.map((blob) => [blob.descriptor.digest, blob]));
  const missing = (what: string): OcibundleError =>
    new OcibundleError("not_found", `${name}: ${what} is not part of the model`);
  return {
    name,
    async readManifest(digest) {
      const raw = [root, ...children].find((one) => one.digest === digest);
      if (raw === undefined) throw missing(`manifest ${digest}`);
      return raw;
    },
    hasBlob: async ({ digest }) => byDigest.has(digest),
    async blobSource({ digest }, signal) {
      const blob = byDigest.get(digest);
      if (blob === undefined) throw missing(`blob ${shortDigest(digest)}`);
      return blob.source(signal);
    },
  };
}
