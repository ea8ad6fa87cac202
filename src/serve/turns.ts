/** So many at once; others wait for their turn, and fail when it takes too long. */
export function turns(most: number, patience: number) {
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    count: () => running,
    async run<T>(work: () => Promise<T>): Promise<T> {
      if (running >= most) {
        await new Promise<void>((resolve, reject) => {
          const begin = (): void => {
            clearTimeout(timer);
            resolve();
          };
          const timer = setTimeout(() => {
            waiting.splice(waiting.indexOf(begin), 1);
            reject(new Error("too many concurrent responses"));
          }, patience);
          waiting.push(begin);
        });
      } else running += 1;
      try {
        return await work();
      } finally {
        // Who waits takes the turn over.
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
