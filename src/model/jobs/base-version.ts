import { OcibundleError, withContext } from "../../errors.ts";
import { formatReference, type Reference, referenceTarget } from "../../oci/reference.ts";
import type { LayoutName } from "../format/layout-name.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { readWeights } from "../graph/find-weights.ts";
import { numbersOfVersion } from "../graph/split-of-tag.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import type { TreeNumbers } from "../parts/tree.ts";
import { parseTarget } from "../places/target.ts";
import type { Session } from "../session/session.ts";

/** A version in parts that the next one is to share parts with. */
export interface BaseVersion {
  name: string;
  reference: Reference;
  /** By which its files are split; undefined where none of them is large enough to be split. */
  numbers: TreeNumbers | undefined;
}

/**
 * Reads the version that `--base` names. Throws `usage` for one that is not in parts, and where nothing is pushed in
 * parts; `not_found`, `denied`, `network` where it can't be read.
 */
export async function readBase(
  session: Session,
  text: string | undefined,
  layout: LayoutName | undefined,
): Promise<BaseVersion | undefined> {
  if (text === undefined) return undefined;
  const on = `--base "${text}"`;
  if (layout !== "parts") {
    throw new OcibundleError("usage", `${on} needs weights in parts`, {
      hint: "add --parts, or remove --base",
    });
  }
  try {
    const { reference } = parseTarget(text, "push");
    const reader = session.originReader(reference);
    const root = await reader.readManifest(referenceTarget(reference), session.signal);
    const numbers = await numbersOfVersion(reader, root, session.signal);
    const weights = await readWeights(reader, root, session.signal);
    if (numbers !== undefined || isPartsManifest(membersOf(weights, reader.name))) {
      return { name: formatReference(reference), reference, numbers };
    }
  } catch (error) {
    throw withContext(on, error);
  }
  throw new OcibundleError("usage", `${on}: its weights are not in parts`, {
    hint: "push it with --parts first, or remove --base",
  });
}
