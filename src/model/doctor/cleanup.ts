import { OcibundleError } from "../../errors.ts";
import { isDigest } from "../../oci/digest.ts";
import { type DoctorRun, no, notTried, reasonOf, yes } from "./check.ts";
import type { CheckName, Finding, CreatedObject } from "../../report/doctor.ts";

const checkOf = {
  tag: "delete-tag",
  manifest: "delete-manifest",
  blob: "delete-blob",
} as const satisfies Record<CreatedObject["kind"], CheckName>;

/** Names before what they name, and that before what it needs. */
const order = ["tag", "manifest", "blob"] as const satisfies readonly CreatedObject["kind"][];

/**
 * Takes away what the trials have put on the registry, which shows what can be deleted there at all.
 * Resolves to what is left. Throws nothing but the signal's reason.
 */
export async function cleanUp(
  { registry, created, findings }: DoctorRun,
  signal: AbortSignal,
): Promise<CreatedObject[]> {
  const left: CreatedObject[] = [];
  for (const kind of order) {
    const pieces = created.filter((piece) => piece.kind === kind).toReversed();
    let finding: Finding | undefined;
    for (const piece of pieces) {
      const answer = await remove(registry, piece, signal);
      // Some answer 404 to what they do not delete.
      if (answer === "gone" || answer.result === "no") left.push(piece);
      if (answer === "gone") continue;
      if (finding?.result !== "no") finding = answer;
    }
    findings.set(checkOf[kind], finding ?? notTried("nothing to delete"));
  }
  return withoutGone(registry, left, signal);
}

/** A tag goes with its manifest, and what failed to be put was never there. */
async function withoutGone(
  registry: DoctorRun["registry"],
  left: readonly CreatedObject[],
  signal: AbortSignal,
): Promise<CreatedObject[]> {
  const there: CreatedObject[] = [];
  for (const piece of left) if (await isThere(registry, piece, signal)) there.push(piece);
  return there;
}

async function isThere(
  registry: DoctorRun["registry"],
  { kind, repository, name }: CreatedObject,
  signal: AbortSignal,
): Promise<boolean> {
  const on = registry.repository(repository);
  try {
    const found =
      kind === "blob" && isDigest(name)
        ? await on.headBlob(name, signal)
        : await on.headManifest(name, signal);
    return found !== undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OcibundleError) return true;
    throw error;
  }
}

/** Deletes one thing (distribution-spec v1.1, "Content Management"). */
async function remove(
  registry: DoctorRun["registry"],
  { kind, repository, name }: CreatedObject,
  signal: AbortSignal,
): Promise<Finding | "gone"> {
  try {
    const { status, said } = await registry.ask(
      {
        method: "DELETE",
        path: `${repository}/${kind === "blob" ? "blobs" : "manifests"}/${name}`,
        repositories: [{ name: repository, actions: ["pull", "delete"] }],
      },
      signal,
    );
    if (status === 404) return "gone";
    return status >= 200 && status < 300 ? yes() : no(said);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OcibundleError) return no(reasonOf(error));
    throw error;
  }
}
