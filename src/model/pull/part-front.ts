import type { RangeSet } from "../../transfer/download/range-set.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import type { FetchProgress } from "./pull-download.ts";

/** Says how far a file that is put together from parts can be read, after each change of what is in it. */
export interface FrontTeller {
  /** The progress that is to be told of these changes. */
  progress: FetchProgress;
  /** From here on there is a file, and this is what is in it. */
  begin(written: RangeSet): void;
  /** A part is right, in each of its places. */
  verify(part: PlannedPart): void;
}

/**
 * Who listens to `progress.front` is told that bytes may be read up to where the first part that is not yet right
 * ends, without that part's last byte: so nobody has all of a part that is wrong.
 */
export function frontTeller(plan: FilePlan, progress: FetchProgress): FrontTeller {
  const { front } = progress;
  if (front === undefined) return { progress, begin() {}, verify() {} };
  const { segments, parts, size } = plan;
  const right = new Set<PlannedPart | undefined>();
  /** The first segment whose part is not right yet. */
  let index = 0;
  let written: RangeSet | undefined;
  const say = (): void => {
    if (written === undefined) return;
    const next = index < segments.length ? segments.at(index) : undefined;
    const proven = next?.position ?? size;
    const held = next === undefined ? size : next.position + next.length - 1;
    front(Math.max(proven, Math.min(written.front, held)), proven);
  };
  return {
    progress: {
      ...progress,
      tell(bytes, resumed) {
        progress.tell(bytes, resumed);
        say();
      },
      reuse(bytes) {
        progress.reuse(bytes);
        say();
      },
    },
    begin(set) {
      written = set;
      say();
    },
    verify(part) {
      right.add(part);
      while (index < segments.length && right.has(parts[segments.at(index).part])) index += 1;
      say();
    },
  };
}
