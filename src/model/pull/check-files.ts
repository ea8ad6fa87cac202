import type { WorkerPool } from "../../runtime/worker-pool.ts";
import { openFileRecords } from "../../store/records/file-records.ts";
import { openPartRecords, type PartRecords } from "../../store/records/part-records.ts";
import type { OcibundleError } from "../../errors.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { LinkMode } from "../session/link-mode.ts";
import type { Session } from "../session/session.ts";
import type { Assembly } from "./assembly.ts";
import { holdsPlan, inParts, noRecords, openAssembly } from "./part-pull.ts";
import { planPull, type PullPlan, type WantedFile } from "./pull-plan.ts";
import { checkSpace } from "./pull-space.ts";

/** What a pull is to put where. */
interface FilesToCheck {
  /** The directory pulled into. */
  root: string;
  files: readonly WantedFile[];
  /** Files that are put together from parts. */
  plans: ReadonlyMap<WeightEntry, FilePlan>;
  force: boolean;
  useCache: boolean;
  seeds?: readonly string[] | undefined;
  checkWhole?: boolean | undefined;
  /** Whether it is pulled into the cache of a hub, if it has an id there. */
  hubId?: string | undefined;
  link: LinkMode;
}

/** What is to be done for some files, before anything is fetched; a pull that is only tried needs the same. */
export interface CheckedFiles {
  plan: PullPlan;
  /** What is known of parts on this machine. */
  records: PartRecords;
  /** Keeps what was found out about the files that were looked at. */
  save(): Promise<void>;
  /** The error of a cache that is too small, where the directory is not. Throws `system` where it is. */
  findSpace(): Promise<OcibundleError | undefined>;
  /** Looks for parts of the wanted files on this machine. Throws as `openAssembly`. */
  findParts(): Promise<Assembly>;
}

/** Looks at what is there of some files. Throws as `planPull`. */
export async function checkFiles(
  session: Session,
  workers: WorkerPool,
  { root, files, plans, force, useCache, seeds = [], link, ...request }: FilesToCheck,
): Promise<CheckedFiles> {
  const { signal, cache, emit } = session;
  // In the cache of a hub the digest of a file is its name.
  const checkWhole = request.checkWhole === true || request.hubId !== undefined;
  const fileRecords = openFileRecords(cache);
  const records = useCache ? openPartRecords(cache) : noRecords;
  const bytes = files.reduce((sum, { entry }) => sum + entry.sizeUncompressed, 0);
  emit({ type: "phase", phase: "check", items: files.length, bytes });
  const plan = await planPull(files, {
    signal,
    force,
    cache,
    records: fileRecords,
    pool: workers,
    async isKnown({ entry, path }) {
      const made = plans.get(entry);
      if (made === undefined || made.blob !== undefined || checkWhole) return false;
      return holdsPlan(path, made, session, records);
    },
  });
  const { wanted } = plan;
  return {
    plan,
    records,
    save: () => fileRecords.save(),
    findSpace: async () =>
      wanted.length === 0
        ? undefined
        : checkSpace(root, wanted, { cache, useCache, link, signal, plans: inParts(plans) }),
    findParts: () =>
      openAssembly({ session, workers, records, plans, wanted, seeds, checkWhole, useCache }),
  };
}
