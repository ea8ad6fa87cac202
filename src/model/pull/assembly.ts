import type { Cache } from "../../store/cache/cache.ts";
import { openPartRecords, type PartRecords } from "../../store/records/part-records.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { noSeeds, type PartSeed, type Seeds } from "./seeds.ts";

/** What the files of one pull that are put together from parts have in common. */
export interface Assembly {
  /** How each such file is put together. */
  plans: ReadonlyMap<WeightEntry, FilePlan>;
  seeds: Seeds;
  records: PartRecords;
  /** Whether the digest of each whole file is checked. */
  checkWhole: boolean;
  /**
   * Whether a file is the one to get a part that several need; the others borrow it from there. `release`
   * says that it has what it claimed, or will not get it.
   */
  claim(digest: string, plan: FilePlan): boolean;
  release(digest: string, plan: FilePlan): void;
  /** Where another file has a part, when that is known; undefined where it has none. */
  borrow(digest: string): Promise<Omit<PartSeed, "stats"> | undefined>;
  /** Says where the file of a plan lies now. */
  place(plan: FilePlan, path: string): void;
}

interface Claim {
  owner: FilePlan;
  done: PromiseWithResolvers<void>;
}

export function createAssembly(
  plans: ReadonlyMap<WeightEntry, FilePlan>,
  options: Pick<Assembly, "seeds" | "records" | "checkWhole">,
): Assembly {
  const files = new Map([...plans.values()].map((plan) => [plan.key, plan]));
  const uses = new Map<string, number>();
  for (const { parts } of files.values()) {
    for (const { stored } of parts) uses.set(stored.digest, (uses.get(stored.digest) ?? 0) + 1);
  }
  const claims = new Map<string, Claim>();
  const paths = new Map<string, string>();
  return {
    plans,
    ...options,
    claim(digest, plan) {
      if ((uses.get(digest) ?? 0) < 2) return true;
      const claim = claims.get(digest);
      if (claim !== undefined) return claim.owner.key === plan.key;
      claims.set(digest, { owner: plan, done: Promise.withResolvers() });
      return true;
    },
    release(digest, plan) {
      const claim = claims.get(digest);
      if (claim?.owner.key === plan.key) claim.done.resolve();
    },
    async borrow(digest) {
      const claim = claims.get(digest);
      await claim?.done.promise;
      const path = claim && paths.get(claim.owner.key);
      const places = claim?.owner.parts.find(({ stored }) => stored.digest === digest)?.once;
      if (path === undefined || places === undefined) return undefined;
      return { path, places, trusted: false };
    },
    place: (plan, path) => void paths.set(plan.key, path),
  };
}

/** For a pull in which no file is put together from parts. */
export const noAssembly = (cache: Cache): Assembly =>
  createAssembly(new Map(), {
    seeds: noSeeds,
    records: openPartRecords(cache),
    checkWhole: false,
  });
