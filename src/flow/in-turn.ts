/**
 * Runs what is given for a key one after another. Undefined, with nothing done, where `most` are not done yet
 * for the key. The work's failure is the result's, and no other's.
 */
export function inTurn<Key extends WeakKey>(most: number) {
  const queues = new WeakMap<Key, { waiting: number; last: Promise<unknown> }>();
  return {
    run(key: Key, work: () => Promise<void>): Promise<void> | undefined {
      const queue = queues.get(key) ?? { waiting: 0, last: Promise.resolve() };
      queues.set(key, queue);
      if (queue.waiting >= most) return undefined;
      queue.waiting += 1;
      const done = queue.last.then(work).finally(() => (queue.waiting -= 1));
      queue.last = done.catch(() => undefined);
      return done;
    },
    /** How many are not done yet. */
    waiting: (key: Key): number => queues.get(key)?.waiting ?? 0,
  };
}
