import { OcibundleError } from "../../errors.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { Repository } from "../../registry/types.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** What became of a tag that was to be deleted by itself. */
export type Untagged =
  | { outcome: "deleted" | "absent" }
  /** It stands for another manifest by now, which nobody asked to delete. */
  | { outcome: "moved"; digest: Digest }
  /** The registry deletes manifests only, or nothing at all. */
  | { outcome: "unsupported"; reason: string };

interface Untagging {
  tag: string;
  /** What it must stand for. */
  digest: Digest;
  /** Tags of the same manifest that must stay. */
  others: readonly string[];
  /** Whether the manifest must stay even without these. */
  keepManifest: boolean;
  signal: AbortSignal;
  emit: EmitEvent;
}

/**
 * Deletes one tag and nothing else. Right before, the tag is looked up again; afterwards what must stay is
 * looked up, since some registries delete the manifest with all its tags: what went with it is put back.
 * Throws `denied`, `network`.
 */
export async function untag(
  repository: Repository,
  { tag, digest, others, keepManifest, signal, emit }: Untagging,
): Promise<Untagged> {
  const mustStay = keepManifest || others.length > 0;
  const bytes = mustStay ? await repository.getManifest(digest, signal) : undefined;
  const now = await repository.headManifest(tag, signal);
  if (now === undefined) return { outcome: "absent" };
  if (now.digest !== digest) return { outcome: "moved", digest: now.digest };
  const answer = await repository.deleteManifest(tag, signal);
  if (typeof answer === "object") return { outcome: "unsupported", reason: answer.unsupported };
  if (bytes !== undefined) {
    const lost: string[] = [];
    for (const other of others) {
      if ((await repository.headManifest(other, signal)) === undefined) lost.push(other);
    }
    if ((await repository.headManifest(digest, signal)) === undefined) {
      await repository.putManifest(digest, bytes, signal);
      lost.push(shortDigest(digest));
    }
    // A tag that was pushed meanwhile is not overwritten: it is there then.
    for (const other of others)
      if (lost.includes(other)) await repository.putManifest(other, bytes, signal);
    if (lost.length > 0) {
      const what = `${repository.fullName}: the registry deleted ${lost.join(", ")} with tag "${tag}"`;
      emit({ type: "warning", message: `${what}; restored` });
    }
  }
  return { outcome: answer };
}

/** The error for a registry that deletes nothing. */
export const cannotDelete = (name: string, reason: string): OcibundleError =>
  new OcibundleError("denied", `${name}: ${reason}`, {
    hint: "enable deletion in the registry's configuration (storage.delete.enabled in distribution's), or delete in the registry's own interface",
  });
