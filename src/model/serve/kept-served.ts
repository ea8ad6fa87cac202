import type { Served } from "./snapshot.ts";

/** What was read of models, by their names and commits: that which was used last, of all models together. */
export interface KeptServed {
  find(name: string, commit: string): Served | undefined;
  keep(name: string, served: Served): void;
}

/** Files whose names and digests are in memory; with some 600 bytes for each. */
const mostFiles = 100_000;
/** A model has some cost without files. */
const filesOfNone = 20;

const weightOf = ({ files }: Served): number => files.length + filesOfNone;

/** The models that a server has looked at; of all together at most so many files are remembered. */
export function keepServed(most: number = mostFiles): KeptServed {
  const kept = new Map<string, Served>();
  let weight = 0;
  const drop = (key: string): void => {
    const served = kept.get(key);
    if (served === undefined) return;
    kept.delete(key);
    weight -= weightOf(served);
  };
  const keep = (key: string, served: Served): void => {
    drop(key);
    kept.set(key, served);
    weight += weightOf(served);
    // The last one stays, whatever it weighs: it is being asked for.
    for (const oldest of kept.keys()) {
      if (weight <= most || oldest === key) break;
      drop(oldest);
    }
  };
  return {
    find(name, commit) {
      const key = `${name}@${commit}`;
      const served = kept.get(key);
      if (served !== undefined) keep(key, served);
      return served;
    },
    keep: (name, served) => keep(`${name}@${served.commit}`, served),
  };
}
