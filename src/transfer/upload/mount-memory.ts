/** What a source repository answered to mounts in this run. */
interface SourceAnswers {
  /** How many blobs it gave. */
  mounted: number;
  /** How many it did not give, since it last gave one. */
  declined: number;
  /** Whether the registry refused the last of those, instead of opening an upload. */
  refused: boolean;
}

/** What one registry answered to mounts in this run, by source repository. */
export type MountMemory = Map<string, SourceAnswers>;

/** A source that never gave a blob is asked no further after this many in a row. */
const mostOfUnproven = 4;

/** The same of a source that gave one: some of its blobs may be new, and others not. */
const mostOfProven = 16;

/** So many sources must have given nothing before the registry is taken for one that does not mount. */
const sourcesToJudge = 3;

/** What became of asking a source for a blob: `refused` by an error, `declined` by an upload; undefined says nothing. */
export type MountAnswer = "mounted" | "declined" | "refused" | undefined;

/**
 * Asks the candidates that are worth it for a blob, one after the other, until one gives it. Resolves to whether one
 * did. What is learned meanwhile by others counts at once. `isFree`: whether the first request also opens the upload, as
 * it does unless the blob may be sent with one request; then a source that was given up is asked in it too.
 */
export async function askSources(
  memory: MountMemory,
  candidates: readonly string[],
  ask: (from: string) => Promise<MountAnswer>,
  { isFree = true } = {},
): Promise<boolean> {
  const left = new Set(candidates);
  let costsNothing = isFree;
  for (;;) {
    const from = nextSource(memory, [...left], costsNothing);
    if (from === undefined) return false;
    left.delete(from);
    const answer = await ask(from);
    if (answer === undefined) continue;
    costsNothing = false;
    noteMount(memory, from, answer);
    if (answer === "mounted") return true;
  }
}

function noteMount(memory: MountMemory, from: string, answer: NonNullable<MountAnswer>): void {
  const { mounted = 0, declined = 0 } = memory.get(from) ?? {};
  memory.set(
    from,
    answer === "mounted"
      ? { mounted: mounted + 1, declined: 0, refused: false }
      : { mounted, declined: declined + 1, refused: answer === "refused" },
  );
}

/**
 * The source to ask next for a blob, or undefined when none is worth it. Sources that gave blobs come first, then the
 * order of `left`. A source that was given up is asked where that `costsNothing`, unless the registry refuses.
 */
function nextSource(
  memory: MountMemory,
  left: readonly string[],
  costsNothing: boolean,
): string | undefined {
  const gave = (from: string): number => Math.sign(memory.get(from)?.mounted ?? 0);
  const inOrder = left.toSorted((a, b) => gave(b) - gave(a));
  const worth = inOrder.find((from) => !isGivenUp(memory.get(from)));
  const doesMount = !neverMounts(memory);
  if (!costsNothing) return doesMount ? worth : undefined;
  if (!doesMount && [...memory.values()].every(({ refused }) => refused)) return undefined;
  return worth ?? inOrder.find((from) => memory.get(from)?.refused !== true);
}

const isGivenUp = (answers: SourceAnswers | undefined): boolean =>
  answers !== undefined &&
  answers.declined >= (answers.mounted === 0 ? mostOfUnproven : mostOfProven);

function neverMounts(memory: MountMemory): boolean {
  const sources = [...memory.values()];
  if (sources.some(({ mounted }) => mounted > 0)) return false;
  return sources.filter(isGivenUp).length >= sourcesToJudge;
}
