/**
 * Has work done when it is first asked for, and gives what came of it to all who ask. Work that failed is done anew for
 * the next one.
 */
export function once<Args extends readonly unknown[], Result>(
  work: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  let made: Promise<Result> | undefined;
  return (...args) => {
    if (made !== undefined) return made;
    const making = work(...args);
    made = making;
    making.catch(() => {
      if (made === making) made = undefined;
    });
    return making;
  };
}
