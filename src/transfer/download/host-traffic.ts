/** Of so many requests that have ended the rates are remembered. */
const mostEnded = 16;

/** One request for a range: what the others are told of it. */
export interface TrafficRequest {
  readonly answered: boolean;
  readonly over: boolean;
  readonly slow: boolean;
  /** As `performance.now()` says. */
  readonly startedAt: number;
  /** Its range; two requests for it are under way where it was asked for again. */
  readonly piece: { readonly flights: { readonly size: number } };
  /** Bytes per millisecond, of late. */
  rate(): number;
}

/**
 * What is received from one host, of all blobs together: a request is slow where others are not, and what slows all
 * of them is not mended by another.
 */
export interface HostTraffic {
  readonly flights: Set<TrafficRequest>;
  /** So far, of all requests. */
  bytes: number;
  /** When the latest have ended, and their rates in bytes per millisecond. */
  ended: readonly { at: number; rate: number }[];
  /** The one that is asked for again while none of them receives anything. */
  probed: TrafficRequest | undefined;
}

/** The traffic with a host of which nothing was asked yet. */
export const hostTraffic = (): HostTraffic => ({
  flights: new Set(),
  bytes: 0,
  ended: [],
  probed: undefined,
});

/** Remembers the rate of a request that has ended. */
export function noteRate(traffic: HostTraffic, rate: number): void {
  traffic.ended = [...traffic.ended.slice(1 - mostEnded), { at: performance.now(), rate }];
}

/**
 * The rates that one request is compared with: those of others now, and where there is hardly another, those of the
 * ones that ended while it was under way. A host that is slower than it was is slower for all.
 */
export function siblingRates({ flights, ended }: HostTraffic, of: TrafficRequest): number[] {
  const now = [...flights].filter((flight) => flight !== of && flight.answered && !flight.over);
  const rates = now.map((flight) => flight.rate());
  if (rates.length > 1) return rates;
  const before = ended.filter(({ at }) => at > of.startedAt);
  return [...rates, ...before.map(({ rate }) => rate)];
}

/**
 * Whether a request that stands still while all of its host do may be asked for again: one of them may, and tells
 * whether the host or the connections are stuck.
 */
export function mayProbe(traffic: HostTraffic, flight: TrafficRequest): boolean {
  const { probed, flights } = traffic;
  const isProbing =
    probed !== undefined && flights.has(probed) && (probed.slow || probed.piece.flights.size > 1);
  if (isProbing && probed !== flight) return false;
  traffic.probed = flight;
  return true;
}
