/**
 * Removes what was put in first where there are more than `most`: after each addition, what is remembered has a bound.
 * What is deleted and put in again at each use goes by its last use instead.
 */
export function dropOldest<Key>(all: Map<Key, unknown> | Set<Key>, most: number): void {
  if (all.size <= most) return;
  for (const oldest of all.keys()) {
    all.delete(oldest);
    return;
  }
}
