import { withinOpenFiles } from "../../runtime/open-files.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import type { LinkMode } from "../session/link-mode.ts";
import type { MaterializeWay } from "../../store/placement/materialize.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Assembly } from "./assembly.ts";
import type { Session } from "../session/session.ts";
import type { WantedFile } from "./pull-plan.ts";

/** Where a pull's blobs come from; its name is the reference, for `cache ls`. */
export type PullSource = ContentReader;

/** Where the bytes of a file lie that is a part of a blob. */
export interface BlobPart {
  blob: Descriptor;
  /** In bytes, from the blob's start. */
  offset: number;
}

/** What fetching the files of one pull shares. */
export interface FetchContext {
  session: Session;
  source: PullSource;
  downloader: Downloader;
  /** Hash, copy and decode parts. */
  workers: WorkerPool;
  /** Parts of one file that are fetched at once, where that is not as many as are fetched soonest. */
  partsAtOnce?: number;
  /** What files have in common that are put together from parts. */
  assembly: Assembly;
  /** Files that are a part of a blob, and where in it they lie. */
  parts: ReadonlyMap<WeightEntry, BlobPart>;
  /** Originals that this run unpacked from archives: in the cache since, and fetched all the same. */
  unpacked?: ReadonlySet<string> | undefined;
  /** The directory pulled into. */
  root: string;
  /** Whether files in the way, which the plan has looked at, are replaced. */
  force: boolean;
  /** Whether blobs go through the cache; otherwise straight into the directory. */
  useCache: boolean;
  /** How files come from the cache. */
  link: LinkMode;
  /** Whether no other process writes into the directory at the same time. */
  alone: boolean;
  /** Learned from file to file. */
  seen: Seen;
}

/** What one file has shown, for those that come after it. */
export interface Seen {
  /** Files can't share blocks with the cache: then it is not tried for each. */
  noReflinks?: boolean;
  /** Files can't be clones of others: parts of them are copied. */
  noClones?: boolean;
  /** How files came from the cache. */
  ways?: Map<WantedFile, MaterializeWay>;
  /** The cache takes nothing more: it is only read from then on. */
  cacheTakesNothing?: boolean;
  /** It was said that files can't be locked. */
  saidUnlocked?: boolean;
}

/** Blobs fetched at once; their connections have one limit of their own. Fewer where few files may be open. */
export const fetchesAtOnce = {
  large: withinOpenFiles(4, 12),
  small: withinOpenFiles(16, 8),
} as const;

/** Parts of one file that are fetched at once: more than connections, since some end or are verified. */
export const partsAtOnce = withinOpenFiles(16, 6);

/** A file up to this size, in bytes, is mostly waiting: for the registry, and for the disk. */
const smallSize = 4 * 1024 * 1024;

/** Whether a file is hashed and placed together with others, because each alone costs more than its bytes. */
export const isSmall = ({ sizeUncompressed }: WeightEntry): boolean =>
  sizeUncompressed <= smallSize;

/** How the files of one original came to their places. */
export type FetchOutcome = "fetched" | "cached";
