import { clashingPair, destFault, shownDest } from "../../store/placement/dest-rule.ts";

/** What is wrong with a dest, as the end of a sentence that starts "dest", or undefined. */
export function checkDest(dest: string): string | undefined {
  const fault = destFault(dest);
  return fault === undefined ? undefined : `${shownDest(dest)} ${fault}`;
}

/**
 * Throws what `refuse` makes when two entries have one dest, or when one's dest lies under another's,
 * which would have to be a file and a directory at once.
 */
export function checkDestsApart(
  entries: readonly { name: string; dest: string }[],
  refuse: (name: string, fault: string) => Error,
): void {
  const pair = clashingPair(entries.map(({ dest }) => dest));
  const [entry, other] = [entries[pair?.at ?? -1], entries[pair?.otherAt ?? -1]];
  if (pair === undefined || entry === undefined || other === undefined) return;
  const owner = JSON.stringify(other.name);
  throw refuse(
    entry.name,
    pair.kind === "same"
      ? `dest ${shownDest(entry.dest)} is also used by ${owner}`
      : `dest ${shownDest(entry.dest)} is nested under ${shownDest(other.dest)}, the dest of ${owner}`,
  );
}
