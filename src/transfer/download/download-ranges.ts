import type { LimitFunction } from "p-limit";
import { OcibundleError } from "../../errors.ts";
import { rangeRefused, refusalOf } from "../../registry/refusal.ts";
import type { RetryCounterOptions } from "../../retry/retry-counter.ts";
import type { EmitEvent } from "../events.ts";
import { type ConnectionCount, connectionCount, countEvery } from "./connection-count.ts";
import type { Flight } from "./flight.ts";
import type { PartialFile } from "./partial-file.ts";
import type { RecentFile } from "./recent-blocks.ts";
import { noteRate } from "./host-traffic.ts";
import { slowFirstByte } from "./range-cost.ts";
import { rangeFailures, type RangeFailures } from "./range-failures.ts";
import { type OpenRange, rangeWork, type RangeWork, type RangeWorkOptions } from "./range-work.ts";
import type { Pace } from "./slow-ranges.ts";
import { watchFlights } from "./watch-flights.ts";

/** How one blob is fetched, and what it shares with others. */
export interface FetchOptions extends RangeWorkOptions, RetryCounterOptions {
  signal: AbortSignal;
  /** The one limit for the connections of all blobs. */
  limit: LimitFunction;
  /** Of the connections of all blobs, those that are about to end, and that others are opened beside. */
  ending: EndingConnections;
  /** Whether the blob has a connection besides, so that it never waits for one. */
  ownConnection?: boolean | undefined;
  emit: EmitEvent;
  pace: Pace;
  /** What those who read the blob meanwhile have: while that is enough, one connection is. */
  recent?: Pick<RecentFile, "isAwaited"> | undefined;
  /** Bytes that came in this call and were missing before, also where it fails. */
  onFetched?: ((bytes: number) => void) | undefined;
}

/**
 * The next request is made before the last bytes of the one before it have come, so that no connection's time
 * passes between the two: so many connections more are open for moments.
 */
export interface EndingConnections {
  count: number;
  readonly most: number;
}

/** One blob that is fetched: what is kept from one request to the next. */
interface Fetch {
  readonly open: OpenRange;
  readonly file: PartialFile;
  readonly size: number;
  readonly options: FetchOptions;
  readonly work: RangeWork;
  readonly failures: RangeFailures;
  /** Aborted by the caller and by the first final failure. */
  readonly stop: AbortController;
  readonly ended: PromiseWithResolvers<void>;
  /** Slots requested from the shared limit and not yet granted. */
  queued: number;
  closed: boolean;
  /** Whether an answer has shown that ranges are served. */
  confirmed: boolean;
  /** Until then one request runs alone: the rate of its bytes tells how the rest is cut. */
  aloneUntil: number;
  /** How many connections it has at most; undefined where those of `options` are. */
  readonly connections: ConnectionCount | undefined;
  failure: { error: unknown } | undefined;
  /** How often requests are looked at, in milliseconds. */
  readonly interval: number;
}

/**
 * Fetches all that is missing of a blob into its file, in parallel ranges where the registry serves
 * them. Repeats requests that fail; sends a second request for what a stuck one, or one that is far slower than its
 * siblings, has not received, and ends that as soon as the second has a byte. Throws the failure that did not pass, or
 * that of the file.
 */
export async function fetchMissing(
  open: OpenRange,
  file: PartialFile,
  size: number,
  options: FetchOptions,
): Promise<void> {
  const { signal, pace } = options;
  signal.throwIfAborted();
  const fetch: Fetch = {
    open,
    file,
    size,
    options,
    work: rangeWork(file, size, options),
    failures: rangeFailures(file, { ...options, contact: options.support.contact }),
    stop: new AbortController(),
    ended: Promise.withResolvers(),
    queued: 0,
    closed: false,
    confirmed: false,
    aloneUntil: 0,
    connections:
      options.recent && connectionCount(options.atOnce, performance.now(), file.written.bytes),
    failure: undefined,
    interval: Math.max(20, pace.silent / 8),
  };
  const missing = missingBytes(file, size);
  const interrupt = () => fail(fetch, signal.reason);
  signal.addEventListener("abort", interrupt, { once: true });
  const ticker = setInterval(() => look(fetch), fetch.interval);
  const counter = options.recent && setInterval(() => recount(fetch), countEvery);
  try {
    startRequests(fetch);
    await fetch.ended.promise;
  } finally {
    clearInterval(ticker);
    clearInterval(counter);
    signal.removeEventListener("abort", interrupt);
    options.onFetched?.(missing - missingBytes(file, size));
  }
}

const missingBytes = (file: PartialFile, size: number): number =>
  file.missing({ start: 0, end: size }).reduce((sum, { start, end }) => sum + end - start, 0);

/** Starts the requests that can be started, and notices the end. */
function startRequests(fetch: Fetch): void {
  if (fetch.closed) return;
  const { work, failure } = fetch;
  const { support, limit, atOnce } = fetch.options;
  const ends = failure !== undefined || work.isComplete();
  if (work.flights.size === 0) {
    if (ends) return close(fetch);
    work.refill();
  }
  if (ends) return;
  if (fetch.options.ownConnection === true && needsOwn(fetch)) {
    fetch.queued += 1;
    void fillSlot(fetch);
  }
  const together = fetch.confirmed && performance.now() >= fetch.aloneUntil;
  const most = support.ranged && together ? (fetch.connections?.count ?? atOnce) : 1;
  const busy = [...work.flights].filter(({ givesWay }) => !givesWay).length;
  const free = Math.min(most - busy, work.available()) - fetch.queued;
  for (let more = 0; more < free; more += 1) {
    fetch.queued += 1;
    void limit(() => fillSlot(fetch));
  }
}

/** Whether a blob has nothing under way, or no more than one request that is stuck. */
const needsOwn = ({ work, confirmed }: Fetch): boolean =>
  work.flights.size === 0
    ? work.available() > 0
    : confirmed && work.flights.size === 1 && work.repetitions() > 0;

function close(fetch: Fetch): void {
  fetch.closed = true;
  if (fetch.failure === undefined) fetch.ended.resolve();
  else fetch.ended.reject(fetch.failure.error);
}

/**
 * Has a slot among the connections: requests the most urgent piece. Resolves when the slot is for another request.
 * Never throws.
 */
async function fillSlot(fetch: Fetch): Promise<void> {
  fetch.queued -= 1;
  if (fetch.closed || fetch.failure !== undefined) return;
  const flight = fetch.work.begin(fetch.stop.signal);
  if (flight === undefined) return;
  const { ending } = fetch.options;
  const flown = fly(fetch, flight);
  const isNearEnd = await Promise.race([flown, flight.nearEnd.then(() => true)]);
  // The end of one that is alone tells how the rest is cut.
  const isAlone = performance.now() < fetch.aloneUntil;
  if (isNearEnd !== true || isAlone || ending.count >= ending.most) return flown;
  ending.count += 1;
  flight.givesWay = true;
  void flown.then(() => (ending.count -= 1));
  startRequests(fetch);
}

/** One request, whatever comes of it, and what follows from that. Never throws. */
async function fly(fetch: Fetch, flight: Flight): Promise<void> {
  try {
    await request(fetch, flight);
  } catch (error) {
    flight.finish();
    await recover(fetch, flight, error);
  } finally {
    fetch.aloneUntil = 0;
    fetch.work.end(flight);
    startRequests(fetch);
  }
}

/** One request, from its start to its last byte. */
async function request(fetch: Fetch, flight: Flight): Promise<void> {
  const { file, size, work } = fetch;
  const { piece } = flight;
  const start = firstMissing(file, flight);
  if (start >= piece.end) return;
  flight.ranged = fetch.options.support.ranged && !(start === 0 && piece.end === size);
  const asked = { start: flight.ranged ? start : 0, end: piece.end };
  const answer = await fetch.open(flight.ranged ? asked : undefined, flight.signal);
  fetch.failures.noteContact();
  const { range } = answer;
  if (range.start !== asked.start || range.end !== asked.end) {
    const isWhole = range.start === 0 && range.end === size;
    work.withoutRanges(isWhole ? "ignores ranges" : "returns a different range");
    if (!isWhole || work.flights.size > 1) {
      await answer.body.cancel().catch(() => undefined);
      return;
    }
    // The whole blob is on its way already: this is the one stream then.
    work.takeWhole(flight);
  }
  const now = performance.now();
  const waited = now - flight.startedAt;
  if (!fetch.confirmed && waited > slowFirstByte) fetch.aloneUntil = now + waited;
  fetch.confirmed = true;
  startRequests(fetch);
  await flight.read({ range, body: answer.body }, file);
  fetch.failures.noteContact();
  noteRate(fetch.options.support.traffic, flight.averageRate());
}

/** Where a request begins: behind what is there, and behind what another has received and not written yet. */
function firstMissing(file: PartialFile, { piece }: Flight): number {
  const received = Array.from(piece.flights, ({ position }) => position);
  return Math.max(file.missing(piece)[0]?.start ?? piece.end, ...received);
}

/** What a failed request means: nothing, one stream in place of ranges, another try, or the end. */
async function recover(fetch: Fetch, flight: Flight, error: unknown): Promise<void> {
  if (flight.superseded || fetch.failure !== undefined) return;
  if (!(error instanceof OcibundleError) || error.code !== "network") return fail(fetch, error);
  const { work, failures, stop } = fetch;
  const status = refusalOf(error)?.status;
  if (status !== undefined && rangeRefused.has(status)) {
    // Several may be refused at once: each asked for a range, and none for the whole blob.
    if (!flight.ranged) return fail(fetch, error);
    return work.withoutRanges(`rejects ranges (${status})`);
  }
  try {
    await failures.wait(flight, error, stop.signal);
  } catch (final) {
    // The last resort where only ranges fail: the next run would ask for ranges, and fail as well.
    if (status === 500 && flight.ranged && !stop.signal.aborted) {
      failures.reset();
      return work.withoutRanges("returns 500 for a range");
    }
    fail(fetch, final);
  }
}

function fail(fetch: Fetch, error: unknown): void {
  fetch.failure ??= { error };
  fetch.stop.abort(error);
  startRequests(fetch);
}

function recount(fetch: Fetch): void {
  const { connections, confirmed, file, options } = fetch;
  if (!confirmed) return;
  connections?.look(performance.now(), file.written.bytes, options.recent?.isAwaited !== false);
  startRequests(fetch);
}

/** Finds the requests that are stuck or far behind. */
function look(fetch: Fetch): void {
  const { interval, failures } = fetch;
  const { label, support, pace } = fetch.options;
  watchFlights(fetch.work, { label, support, pace, interval, failures: failures.inARow });
  startRequests(fetch);
}
