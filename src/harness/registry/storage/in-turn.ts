/** Work on one key waits for the work that was begun on it before; other keys do not wait. */
export interface Turns {
  inTurn<Result>(key: string, work: () => Promise<Result>): Promise<Result>;
}

/** Turns within this process. */
export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>();
  return {
    async inTurn(key, work) {
      const before = last.get(key);
      const mine = (before ?? Promise.resolve()).then(work, work);
      last.set(key, mine);
      try {
        return await mine;
      } finally {
        if (last.get(key) === mine) last.delete(key);
      }
    },
  };
}
