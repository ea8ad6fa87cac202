import type { Cache } from "../../store/cache/cache.ts";
import { openPartRecords, type PartRecords } from "../../store/records/part-records.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { noSeeds, type PartSeed, type Seeds } from "./seeds.ts";

/** What the files of one pull that are put together from parts have in common. */
export interface Assembly {
  /** How each such file is put together. */
  plans: ReadonlyMap<WeightEntry, FilePlan>;
  seeds: Seeds;
  records: PartRecords;
  /** Whether the digest of the whole file is checked: that of a blob always is, since it names the blob. */
  checksWhole(plan: FilePlan): boolean;
  /**
   * Whether a file is the one to get a part that several need; the others borrow it from there. `release`
   * says that it has what it claimed, or will not get it.
   */
  claim(digest: string, plan: FilePlan): boolean;
  release(digest: string, plan: FilePlan): void;
  /**
   * Where another file has a part, when that is known; undefined where it has none. The file stays there until
   * the part is given back.
   */
  borrow(digest: string): Promise<Borrowed | undefined>;
  /** Says where the file of a plan lies now. */
  place(plan: FilePlan, path: string): void;
  /** A file is about to be moved: resolves when nobody borrows from it. Nobody does then before `place` or `end`. */
  beforeMove(plan: FilePlan): Promise<void>;
  /** Nothing more comes of a file: whoever waits for it goes on without it. */
  end(plan: FilePlan): void;
}

interface Borrowed extends Pick<PartSeed, "path" | "places"> {
  giveBack(): void;
}

/** Where a file lies, and who borrows from it. */
interface Lender {
  path: string | undefined;
  borrowers: number;
  /** Set while it waits to be moved. */
  unused: PromiseWithResolvers<void> | undefined;
  /** Set from then on until it is moved. */
  moved: PromiseWithResolvers<void> | undefined;
}

interface Claim {
  owner: FilePlan;
  done: PromiseWithResolvers<void>;
}

/** The state of putting the files of one pull together; nothing is fetched yet. */
export function createAssembly(
  plans: ReadonlyMap<WeightEntry, FilePlan>,
  { checkWhole, ...options }: Pick<Assembly, "seeds" | "records"> & { checkWhole: boolean },
): Assembly {
  const files = new Map([...plans.values()].map((plan) => [plan.key, plan]));
  const uses = new Map<string, number>();
  for (const { parts } of files.values()) {
    for (const { stored } of parts) uses.set(stored.digest, (uses.get(stored.digest) ?? 0) + 1);
  }
  const claims = new Map<string, Claim>();
  const lenders = new Map<string, Lender>();
  const lenderOf = ({ key }: FilePlan): Lender => {
    const known = lenders.get(key);
    if (known !== undefined) return known;
    const lender = { path: undefined, borrowers: 0, unused: undefined, moved: undefined };
    lenders.set(key, lender);
    return lender;
  };
  const byDigest = new Map<string, ReadonlyMap<string, PlannedPart>>();
  /** The parts of a plan by their digests: there can be many, and each can be asked for. */
  const partsOf = ({ key, parts }: FilePlan): ReadonlyMap<string, PlannedPart> => {
    const known = byDigest.get(key) ?? new Map(parts.map((part) => [part.stored.digest, part]));
    byDigest.set(key, known);
    return known;
  };
  const release = (digest: string, plan: FilePlan): void => {
    const claim = claims.get(digest);
    if (claim?.owner.key === plan.key) claim.done.resolve();
  };
  return {
    plans,
    ...options,
    checksWhole: ({ blob }) => checkWhole || blob !== undefined,
    claim(digest, plan) {
      if ((uses.get(digest) ?? 0) < 2) return true;
      const claim = claims.get(digest);
      if (claim !== undefined) return claim.owner.key === plan.key;
      claims.set(digest, { owner: plan, done: Promise.withResolvers() });
      return true;
    },
    release,
    async borrow(digest) {
      const claim = claims.get(digest);
      if (claim === undefined) return undefined;
      const lender = lenderOf(claim.owner);
      await claim.done.promise;
      await lender.moved?.promise;
      const { path } = lender;
      const places = partsOf(claim.owner).get(digest)?.once;
      if (path === undefined || places === undefined) return undefined;
      lender.borrowers += 1;
      return {
        path,
        places,
        giveBack() {
          lender.borrowers -= 1;
          if (lender.borrowers === 0) lender.unused?.resolve();
        },
      };
    },
    place(plan, path) {
      const lender = lenderOf(plan);
      lender.path = path;
      lender.moved?.resolve();
      lender.moved = undefined;
    },
    async beforeMove(plan) {
      const lender = lenderOf(plan);
      lender.moved ??= Promise.withResolvers();
      if (lender.borrowers === 0) return;
      lender.unused = Promise.withResolvers();
      await lender.unused.promise;
    },
    end(plan) {
      for (const { stored } of plan.parts) release(stored.digest, plan);
      const lender = lenderOf(plan);
      lender.moved?.resolve();
      lender.moved = undefined;
    },
  };
}

/** For a pull in which no file is put together from parts. */
export const noAssembly = (cache: Cache): Assembly =>
  createAssembly(new Map(), {
    seeds: noSeeds,
    records: openPartRecords(cache),
    checkWhole: false,
  });
