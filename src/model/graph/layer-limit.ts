import { amended, OcibundleError } from "../../errors.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { refusalOf } from "../../registry/refusal.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { lacksBlob } from "./known-blobs.ts";

/** No registry that is known takes fewer layers. */
const fewLayers = 60;

/** A registry's refusal of a manifest, with what to do where its number of layers may be the reason. */
export function explainedLayers(error: unknown, manifest: RawManifest): unknown {
  const status = refusalOf(error)?.status ?? 0;
  const isRefused = status === 400 || status === 403 || status === 413 || status === 422;
  // Of a manifest that is too large its layers say more than what is said of any body.
  const isUnexplained =
    error instanceof OcibundleError && (error.hint === undefined || status === 413);
  if (!isUnexplained) return error;
  if (!isRefused || lacksBlob(error)) return error;
  const members = membersOf(manifest, "manifest");
  const { length } = members.layers;
  if (length <= fewLayers) return error;
  const fewer = isPartsManifest(members)
    ? "push fewer files, or fewer, larger parts with --most-parts"
    : "push fewer files";
  const hint = `the manifest has ${length} layers; run \`ocibundle doctor\` to find how many the registry accepts, and ${fewer}`;
  return amended(error, { hint });
}

/** Says that weights have more layers than `most`: what is in parts already is not split again. */
export function sayMoreLayers(
  { emit }: { emit: EmitEvent },
  manifest: RawManifest,
  most: number | undefined,
): void {
  if (most === undefined) return;
  const { length } = membersOf(manifest, "manifest").layers;
  if (length <= most) return;
  emit({
    type: "warning",
    message: `the weights have ${length} layers, more than --most-parts ${most}: it does not apply to small files and to files in parts`,
  });
}
