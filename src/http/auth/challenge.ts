/** One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  scheme: string;
  /** Names in lower case. The first of a repeated name counts. */
  parameters: ReadonlyMap<string, string>;
}

/** A header longer than this is no challenge of a registry. */
const maxHeaderLength = 16 * 1024;

const tokenCharacters = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
// Some servers leave the quotes out: everything up to a comma or blank is the value then.
const bareValue = /[^\s,"]*/y;
const blanks = /[ \t]*/y;
const separators = /[ \t,]*/y;

/**
 * Reads the challenges of a header, several of them in one line included. What follows a part that
 * can't be read is left out; nothing throws.
 */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, maxHeaderLength);
  const challenges: Challenge[] = [];
  let at = 0;

  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? "";
    at += found.length;
    return found;
  };

  // quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
  const takeQuoted = (): string | undefined => {
    let value = "";
    for (at++; at < text.length; at++) {
      const character = text[at];
      if (character === '"') {
        at++;
        return value;
      }
      if (character === "\\") at++;
      value += text[at] ?? "";
    }
    return undefined;
  };

  /** A parameter at this place, or undefined with the place unchanged. */
  const takeParameter = (): [string, string] | undefined => {
    const start = at;
    const name = take(tokenCharacters).toLowerCase();
    take(blanks);
    if (name !== "" && text[at] === "=") {
      at++;
      take(blanks);
      const value = text[at] === '"' ? takeQuoted() : take(bareValue);
      if (value !== undefined) return [name, value];
    }
    at = start;
    return undefined;
  };

  for (;;) {
    take(separators);
    const scheme = take(tokenCharacters).toLowerCase();
    if (scheme === "") return challenges;
    if (at < text.length && !/[ \t,]/.test(text[at] ?? "")) return challenges;
    take(blanks);
    const parameters = new Map<string, string>();
    // The one value without a name of some schemes, none of which is supported.
    if (take(token68) !== "") {
      challenges.push({ scheme, parameters });
      continue;
    }
    for (;;) {
      take(separators);
      const parameter = takeParameter();
      if (parameter === undefined) break;
      if (!parameters.has(parameter[0])) parameters.set(...parameter);
    }
    challenges.push({ scheme, parameters });
  }
}
