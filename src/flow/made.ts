/** What is made of each item of a list, each time that it is gone through: nothing is kept of a long one. */
export const made = <T, R>(list: Iterable<T>, make: (item: T) => R): Iterable<R> => ({
  [Symbol.iterator]: () => Iterator.from(list).map(make),
});
