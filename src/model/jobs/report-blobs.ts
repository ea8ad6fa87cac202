import type { BlobKind } from "../../report/models-report.ts";
import type { Digest } from "../../oci/digest.ts";
import { fileNameOf } from "../format/weight-entry.ts";
import type { ListedFile } from "../graph/compare-files.ts";
import type { StoredBlob } from "../graph/compare-versions.ts";
import { allWeights } from "../graph/summary.ts";
import { planFile, wholePart } from "../parts/file-plan.ts";
import type { Loaded } from "../places/load-model.ts";
import { splitFilesOf } from "./diff-parts.ts";

type Model = Extract<Loaded, { kind: "model" }>;

/** Everything that a model stores, each blob with the weight files that it has, whole or a part of. */
export function blobsOf(model: Model): Map<Digest, StoredBlob> {
  const { graph } = model;
  const { names, parts } = namesOf(model);
  const blobs = new Map<Digest, StoredBlob>();
  for (const { digest, bytes } of [graph.root, ...graph.children]) {
    blobs.set(digest, { size: bytes.byteLength, kind: "manifest", names: [] });
  }
  for (const { descriptor, group } of graph.blobs) {
    const { digest, size } = descriptor;
    const stored = names.get(digest) ?? [];
    const kind = parts.has(digest) ? "part" : kindOf(group, stored);
    blobs.set(digest, { size, kind, names: stored });
  }
  return blobs;
}

/** The weight files of a model, as they are without compression and in one piece. */
export function filesOf(model: Model): ListedFile[] {
  const split = splitFilesOf(model);
  return (allWeights(model.summary) ?? []).map((file) => ({
    name: fileNameOf(file),
    digest: file.digestOriginal,
    size: file.sizeUncompressed,
    parts: split.get(file.digestOriginal)?.length ?? null,
  }));
}

/** The files in each blob, and which blobs are only a part of a file. */
function namesOf({ summary, foreign }: Model) {
  const names = new Map<Digest, string[]>();
  const parts = new Set<Digest>();
  const add = (digest: Digest, name: string): void => {
    const known = names.get(digest);
    if (known === undefined) names.set(digest, [name]);
    else if (!known.includes(name)) known.push(name);
  };
  const byContent = new Map<Digest, string[]>();
  for (const file of allWeights(summary) ?? []) {
    add(file.digest, fileNameOf(file));
    const known = byContent.get(file.digestOriginal);
    if (known === undefined) byContent.set(file.digestOriginal, [fileNameOf(file)]);
    else known.push(fileNameOf(file));
  }
  for (const { parts: artifact } of foreign.values()) {
    for (const file of artifact?.recipe.files ?? []) {
      if (artifact === undefined) continue;
      const whole = wholePart(file, artifact);
      const stored = whole === undefined ? planFile(file, artifact).parts : [{ stored: whole }];
      for (const { stored: part } of stored) {
        for (const name of byContent.get(file.digest) ?? []) add(part.stored.digest, name);
        if (whole === undefined) parts.add(part.stored.digest);
      }
    }
  }
  return { names, parts };
}

function kindOf(group: string, names: readonly string[]): BlobKind {
  if (names.length > 0 || group === "weights") return "weights";
  return group === "image" ? "image" : "other";
}
