/** A header longer than this is none. */
const maxLength = 16 * 1024;

/**
 * The target of `rel="next"` in a `Link` header (RFC 8288), or undefined when it has none. Quotes may be
 * double, single or missing, and so may the angle brackets of a link that stands alone.
 * Throws a RangeError for a header that speaks of a next page in a way that can't be read.
 */
export function parseNextLink(header: string | null): string | undefined {
  if (header === null) return undefined;
  if (header.length > maxLength) throw new RangeError("the Link header is too long");
  let rest = header;
  // A link is <target> and its parameters up to the next comma that is not in quotes.
  for (const [whole, target, parameters] of header.matchAll(
    /<([^<>]*)>((?:[^"',<>]|"[^"]*"|'[^']*')*)/g,
  )) {
    if (isNext(parameters)) return target?.trim();
    rest = rest.replace(whole, "");
  }
  const [, bare, parameters] = /^\s*([^\s<>;,"']+)\s*(;[^<>]*)$/.exec(header) ?? [];
  if (isNext(parameters)) return bare;
  if (/\bnext\b/i.test(rest)) throw new RangeError("the Link header is invalid");
  return undefined;
}

function isNext(parameters: string | undefined): boolean {
  const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"']+))/i.exec(parameters ?? "");
  const relations = rel?.[1] ?? rel?.[2] ?? rel?.[3] ?? "";
  return relations.toLowerCase().split(/\s+/).includes("next");
}
