import type { FetchContext } from "./pull-context.ts";

type Told = Pick<FetchContext, "seen" | "session">;

/** From here on the cache is only read, which is said once. */
export function goOnWithoutCache({ seen, session: { emit } }: Told, cause: unknown): void {
  if (seen.cacheTakesNothing === true) return;
  seen.cacheTakesNothing = true;
  const why = cause instanceof Error ? cause.message : "it cannot be used";
  emit({ type: "warning", message: `pulling without the cache: ${why}` });
}

/** Files in a directory can't be locked, which is said once. */
export function sayUnlocked({ seen, session: { emit } }: Told, directory: string): void {
  if (seen.saidUnlocked === true) return;
  seen.saidUnlocked = true;
  const message = `cannot lock files in "${directory}": concurrent pulls may download the same blobs`;
  emit({ type: "warning", message });
}
