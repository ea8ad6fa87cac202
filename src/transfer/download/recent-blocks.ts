import { blockBytes, blockTag, type RecentBytes, recentAt } from "../../runtime/recent-bytes.ts";
import { MiB } from "../units.ts";

/** Memory for the blocks of all files together, in bytes. */
const memoryBytes = 32 * MiB;

/** A file that comes slower than this, in bytes a millisecond, does not wait for those who read it. */
const slowestRate = 25_000;

/** How long a block waits for the hash of others, in milliseconds: it is about as fast as memory. */
const hashPatience = 20;
/** How often the hash is looked at, in milliseconds: it tells nobody. */
const lookEvery = 5;

/** So many bytes that nobody has read yet are enough for those who read. */
const lead = 2 * MiB;

/** A place in memory for a block of a file. */
export interface Block {
  bytes: Uint8Array<SharedArrayBuffer>;
  /** The block is in the file now: it can be read from here as long as it stays. */
  publish(): void;
  /** It could not be written. */
  drop(): void;
}

/** Bytes in memory, which stay until they are released. */
export interface HeldBytes {
  bytes: Uint8Array;
  release(): void;
}

/**
 * The recent blocks of one file, for the threads that hash and those who read it: they need not read back what was just
 * written. What is not here is in the file, and the file has all that is here.
 */
export interface RecentFile {
  /** What another thread needs to read them, until the next `restart`. */
  readonly shared: RecentBytes;
  /** The file begins anew, maybe with other bytes. */
  restart(): void;
  /** All bytes before `position` are in the file. */
  front(position: number): void;
  /** Who has come furthest in reading has come to `position`; Infinity when nobody reads. */
  reached(position: number): void;
  /** Whether those who read have read nearly all that is there, or there is nobody to wait for. */
  readonly isAwaited: boolean;
  /**
   * A place for the block that begins at `position`, once one is hashed and read: so the file grows no faster than it
   * is read, if that is fast. Undefined where there is none.
   */
  take(position: number): Promise<Block | undefined>;
  /** The bytes from `position` to the end of its block; undefined where they are not in memory. */
  read(position: number): HeldBytes | undefined;
  /** Nobody hashes it any more, and nobody waits for a place. */
  end(): void;
}

/** Memory for the blocks of all files that are fetched; it is given back when there are no files. */
export interface RecentBlocks {
  /** The file that is fetched next. */
  file(): RecentFile;
}

/** A file between two restarts. */
interface Growth {
  readonly number: number;
  readonly hashed: BigInt64Array<SharedArrayBuffer>;
  readonly begun: number;
  taken: number;
  front: number;
  reached: number;
  ended: boolean;
}

interface Place {
  readonly index: number;
  owner: Growth | undefined;
  start: number;
  isPublished: boolean;
  /** How many are reading it. */
  held: number;
}

/** What the tests have smaller. In bytes, and bytes a millisecond. */
export interface RecentLimits {
  memory: number;
  slowest: number;
}

/** No memory is taken before the first file. */
export function recentBlocks(
  limits: RecentLimits = { memory: memoryBytes, slowest: slowestRate },
): RecentBlocks {
  let known: WeakRef<Pool> | undefined;
  return {
    file() {
      const pool = known?.deref() ?? new Pool(limits);
      known = new WeakRef(pool);
      return fileOf(pool);
    },
  };
}

class Pool {
  readonly memory: SharedArrayBuffer;
  readonly tags: BigInt64Array<SharedArrayBuffer>;
  private readonly places: Place[];
  private readonly slowest: number;
  private readonly growing = new Set<Growth>();
  private files = 0;
  private waiting: { start: number; wake: () => void }[] = [];

  constructor({ memory, slowest }: RecentLimits) {
    const count = memory / blockBytes;
    this.memory = new SharedArrayBuffer(memory);
    this.tags = new BigInt64Array(new SharedArrayBuffer(count * BigInt64Array.BYTES_PER_ELEMENT));
    this.slowest = slowest;
    this.places = Array.from({ length: count }, (_, index) => ({
      index,
      owner: undefined,
      start: 0,
      isPublished: false,
      held: 0,
    }));
  }

  begin(reached: number): Growth {
    this.files += 1;
    return {
      number: this.files,
      hashed: new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)),
      begun: performance.now(),
      taken: 0,
      front: 0,
      reached,
      ended: false,
    };
  }

  end(growth: Growth): void {
    growth.ended = true;
    this.growing.delete(growth);
    this.wake();
  }

  async take(growth: Growth, start: number): Promise<Block | undefined> {
    const since = performance.now();
    while (!growth.ended) {
      this.growing.add(growth);
      const now = performance.now();
      const due = growth.begun + growth.taken / this.slowest;
      const place = this.free(growth, now >= due);
      if (place !== undefined) return this.claim(place, growth, start);
      // Where nothing is left to read, who waits may be the one that brings it.
      const isPaced = now < due && !isAwaited(growth);
      if (!isPaced && now - since >= hashPatience) return undefined;
      await this.woken(start, isPaced ? due - now : lookEvery);
    }
    return undefined;
  }

  find(growth: Growth, position: number): Place | undefined {
    const start = position - (position % blockBytes);
    return this.places.find(
      (place) => place.isPublished && place.owner === growth && place.start === start,
    );
  }

  /** Those at the front of a file are the first to go on. */
  wake(): void {
    if (this.waiting.length === 0) return;
    const all = this.waiting.toSorted((a, b) => a.start - b.start);
    this.waiting = [];
    for (const { wake } of all) wake();
  }

  /** A place that nobody needs, of the oldest block; with `unread`, one that was not read. */
  private free(growth: Growth, unread: boolean): Place | undefined {
    const share = Math.floor(this.places.length / Math.max(1, this.growing.size));
    const own = this.places.filter(({ owner }) => owner === growth);
    let best: Place | undefined;
    for (const place of own.length < share ? this.places : own) {
      if (place.owner === undefined) return place;
      if (!place.isPublished || place.held > 0 || (isUnread(place) && !unread)) continue;
      if (best === undefined || place.start < best.start) best = place;
    }
    // The oldest is the first to be hashed.
    return best !== undefined && isHashed(best) ? best : undefined;
  }

  private claim(place: Place, owner: Growth, start: number): Block {
    Atomics.store(this.tags, place.index, 0n);
    Object.assign(place, { owner, start, isPublished: false });
    owner.taken += blockBytes;
    return {
      bytes: new Uint8Array(this.memory, place.index * blockBytes, blockBytes),
      publish: () => {
        place.isPublished = true;
        Atomics.store(this.tags, place.index, blockTag(owner.number, start));
      },
      drop: () => {
        place.owner = undefined;
        this.wake();
      },
    };
  }

  private woken(start: number, milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => wake(), Math.max(1, milliseconds));
      const wake = (): void => {
        clearTimeout(timer);
        this.waiting = this.waiting.filter((one) => one.wake !== wake);
        resolve();
      };
      this.waiting.push({ start, wake });
    });
  }
}

/** The thread that hashes stores how far it is, and reads nothing before that. */
const isHashed = ({ owner, start }: Place): boolean =>
  owner === undefined || owner.ended || Number(Atomics.load(owner.hashed, 0)) >= start + blockBytes;

const isAwaited = ({ front, reached }: Growth): boolean => front - reached < lead;

const isUnread = ({ owner, start, isPublished }: Place): boolean =>
  isPublished && owner !== undefined && start + blockBytes > owner.reached;

function fileOf(pool: Pool): RecentFile {
  let growth = pool.begin(Infinity);
  return {
    get shared() {
      const { number, hashed } = growth;
      return { memory: pool.memory, tags: pool.tags, file: number, hashed };
    },
    restart() {
      pool.end(growth);
      growth = pool.begin(growth.reached);
    },
    front(position) {
      growth.front = position;
    },
    reached(position) {
      growth.reached = position;
      pool.wake();
    },
    get isAwaited() {
      return isAwaited(growth);
    },
    take: (position) => pool.take(growth, position),
    read(position) {
      const place = pool.find(growth, position);
      if (place === undefined) return undefined;
      place.held += 1;
      const { number: file, hashed } = growth;
      const bytes = recentAt({ memory: pool.memory, tags: pool.tags, file, hashed }, position);
      const release = (): void => {
        place.held -= 1;
        pool.wake();
      };
      if (bytes !== undefined) return { bytes, release };
      release();
      return undefined;
    },
    end: () => pool.end(growth),
  };
}
