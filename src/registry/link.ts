/**
 * The target of `rel="next"` in a `Link` header (RFC 8288), or undefined when there is none. What
 * can't be read is none.
 */
export function parseNextLink(header: string | null): string | undefined {
  if (header === null || header.length > 16 * 1024) return undefined;
  // A link is <target> and its parameters up to the next comma that is not in quotes.
  for (const [, target, parameters] of header.matchAll(/<([^<>]*)>((?:[^",<>]|"[^"]*")*)/g)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(parameters ?? "");
    const relations = (rel?.[1] ?? rel?.[2] ?? "").toLowerCase().split(/\s+/);
    if (relations.includes("next")) return target;
  }
  return undefined;
}
