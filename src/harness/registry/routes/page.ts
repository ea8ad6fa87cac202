import { Refusal } from "./refusal.ts";

/** What a list is asked for: `n` entries after `last`. */
export interface PageQuery {
  n: number | undefined;
  last: string | undefined;
}

/** Reads `n` and `last`. Throws `PAGINATION_NUMBER_INVALID`. */
export function pageQuery(query: URLSearchParams): PageQuery {
  const text = query.get("n");
  const last = query.get("last") ?? undefined;
  if (text === null) return { n: undefined, last };
  const n = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isInteger(n)) return { n, last };
  throw new Refusal(400, {
    code: "PAGINATION_NUMBER_INVALID",
    message: "n is not a whole number",
    detail: { n: text },
  });
}

/**
 * The entries of a page out of a sorted list, and the `Link` to the one after it (RFC 8288).
 * `key` is what `last` names; `compare` is the order of the list.
 */
export function page<Entry>(
  sorted: readonly Entry[],
  { n, last }: PageQuery,
  path: string,
  key: (entry: Entry) => string,
  compare: (a: string, b: string) => number,
  keep?: Readonly<Record<string, string>>,
): { entries: Entry[]; headers: Record<string, string> } {
  const after =
    last === undefined ? [...sorted] : sorted.filter((entry) => compare(key(entry), last) > 0);
  const entries = n === undefined ? after : after.slice(0, n);
  const end = entries.at(-1);
  if (end === undefined || n === undefined || entries.length === after.length) {
    return { entries, headers: {} };
  }
  const query = new URLSearchParams({ ...keep, n: String(n), last: key(end) });
  return { entries, headers: { Link: `<${path}?${query.toString()}>; rel="next"` } };
}
