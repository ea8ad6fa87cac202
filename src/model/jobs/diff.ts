import type { Digest } from "../../oci/digest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import type { Group } from "../graph/manifest-blobs.ts";
import { type Loaded, loadSource } from "../places/load-model.ts";
import { type JobContext, openSession } from "../session/session.ts";
import { allWeights } from "../graph/summary.ts";
import {
  diffParts,
  plainFilesInParts,
  type SplitFiles,
  splitFilesOf,
  storedSizesOf,
} from "./diff-parts.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { diffTensors, noTensors, tensorsOfModel } from "./diff-tensors.ts";
import type { Changes, ModelDiff, TensorsDiff } from "../../report/diff.ts";

/** How many blobs, and their bytes together. */
export interface Amount {
  blobs: number;
  bytes: number;
}

/**
 * Compares what two sources hold: references, layouts, archives or locks. With `tensors` the headers of the
 * weights are read as well.
 */
export async function diffModels(
  job: JobContext,
  a: string,
  b: string,
  { tensors = false }: { tensors?: boolean } = {},
): Promise<ModelDiff> {
  const session = openSession(job);
  await using stack = new AsyncDisposableStack();
  const open = async (text: string) => {
    const loaded = await loadSource(session, text);
    if (loaded.kind === "model") stack.use(loaded);
    return loaded;
  };
  const [before, after] = [await open(a), await open(b)];
  const weights = diffWeights(weightsOf(before), weightsOf(after));
  const originalsBefore = storedSizesOf(before);
  const changesOf = (group: Group): Changes | null =>
    before.kind === "model" && after.kind === "model"
      ? changes(blobsOf(before, group), blobsOf(after, group))
      : null;
  const imageBefore = blobsOf(before, "image");
  const inParts = async (loaded: Loaded): Promise<SplitFiles> =>
    new Map([...(await plainFilesInParts(loaded, session)), ...splitFilesOf(loaded)]);
  const split = await inParts(after);
  const parts = diffParts(
    { split: await inParts(before), files: new Set(originalsBefore.keys()) },
    split,
  );
  const whole = new Map([...storedSizesOf(after)].filter(([file]) => !split.has(file)));
  return {
    a: before.name,
    b: after.name,
    weights,
    image: changesOf("image"),
    other: changesOf("other"),
    fetch: {
      weights: sumOf(
        amount(whole, (original) => !originalsBefore.has(original)),
        parts?.missing,
      ),
      image: amount(blobsOf(after, "image"), (digest) => !imageBefore.has(digest)),
    },
    parts,
    tensors: tensors ? await tensorsOf(session.signal, before, after) : null,
  };
}

/** Null where a side is a lock, which has no headers, or has no weights. */
async function tensorsOf(
  signal: AbortSignal,
  before: Loaded,
  after: Loaded,
): Promise<TensorsDiff | null> {
  if (before.kind === "lock" || after.kind === "lock") return null;
  if (weightsOf(before).length === 0 && weightsOf(after).length === 0) return null;
  const of = (loaded: typeof before) =>
    weightsOf(loaded).length === 0 ? noTensors : tensorsOfModel(loaded, signal);
  return diffTensors(await of(before), await of(after));
}

const sumOf = (one: Amount, more: Amount | undefined): Amount => ({
  blobs: one.blobs + (more?.blobs ?? 0),
  bytes: one.bytes + (more?.bytes ?? 0),
});

const changes = (before: Blobs, after: Blobs): Changes => ({
  shared: amount(after, (digest) => before.has(digest)),
  added: amount(after, (digest) => !before.has(digest)),
  removed: amount(before, (digest) => !after.has(digest)),
});

/** Sorts the weight files of two models by what became of them. */
export function diffWeights(
  before: readonly WeightEntry[],
  after: readonly WeightEntry[],
): ModelDiff["weights"] {
  const result: ModelDiff["weights"] = {
    added: [],
    removed: [],
    changed: [],
    moved: [],
    shared: [],
  };
  const byName = new Map(before.map((entry) => [entry.name, entry]));
  const left = new Set(before);
  const unmatched: WeightEntry[] = [];
  for (const entry of after) {
    const old = byName.get(entry.name);
    if (old === undefined) {
      unmatched.push(entry);
      continue;
    }
    left.delete(old);
    if (old.digestOriginal !== entry.digestOriginal) {
      result.changed.push({ before: old, after: entry });
    } else if (old.dest === entry.dest) result.shared.push(entry);
    else result.moved.push({ before: old, after: entry });
  }
  const byContent = new Map<Digest, WeightEntry[]>();
  for (const old of [...left].toReversed()) {
    const same = byContent.get(old.digestOriginal);
    if (same === undefined) byContent.set(old.digestOriginal, [old]);
    else same.push(old);
  }
  for (const entry of unmatched) {
    const old = byContent.get(entry.digestOriginal)?.pop();
    if (old === undefined) {
      result.added.push(entry);
      continue;
    }
    left.delete(old);
    result.moved.push({ before: old, after: entry });
  }
  result.removed.push(...left);
  return result;
}

const weightsOf = (loaded: Loaded): readonly WeightEntry[] =>
  loaded.kind === "lock" ? loaded.files : (allWeights(loaded.summary) ?? []);

type Blobs = ReadonlyMap<Digest, number>;

function blobsOf(loaded: Loaded, wanted: Group): Blobs {
  if (loaded.kind === "lock") return new Map();
  const { graph, foreign } = loaded;
  // Weights in other formats are compared file by file, and are not something else besides.
  const ofWeights = new Set(
    [...foreign.values()].flatMap(({ raw }) => {
      const { config, layers } = membersOf(raw, loaded.name);
      return [...layers, ...(config === undefined ? [] : [config])].map(({ digest }) => digest);
    }),
  );
  return new Map(
    graph.blobs
      .filter(({ group }) => group === wanted)
      .map(({ descriptor: { digest, size } }): [Digest, number] => [digest, size])
      .filter(([digest]) => wanted !== "other" || !ofWeights.has(digest)),
  );
}

function amount(blobs: Blobs, wanted: (digest: Digest) => boolean): Amount {
  const chosen = [...blobs].filter(([digest]) => wanted(digest));
  return { blobs: chosen.length, bytes: chosen.reduce((sum, [, size]) => sum + size, 0) };
}
