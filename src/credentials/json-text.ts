/**
 * Changes members of a JSON text and nothing else of it. A config belongs to other programs too: parsed and
 * written anew it would lose the digits of large numbers, its order and its indentation.
 */

interface Member {
  key: string;
  /** Where the key begins and ends, quotes included, and the value. */
  keyStart: number;
  keyEnd: number;
  start: number;
  end: number;
}

interface Place {
  members: Member[];
  /** Where the object begins and ends, braces included. */
  start: number;
  end: number;
}

const blank = /[ \t\r\n]*/y;
const string = /"(?:[^"\\]|\\.)*"/sy;
const scalar = /[^\s,:[\]{}"]+/y;

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  const found = pattern.exec(text);
  return found === null ? at : at + found[0].length;
}

/** Where the first value behind `from` ends, or undefined where there is none. Its grammar is not checked. */
export function firstValueEnd(text: string, from = 0): number | undefined {
  let depth = 0;
  for (let at = match(blank, text, from); at < text.length; at = match(blank, text, at)) {
    const character = text[at];
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    const next = character === '"' ? match(string, text, at) : match(scalar, text, at);
    at = Math.max(next, at + 1);
    if (depth <= 0) return depth < 0 ? undefined : at;
  }
  return undefined;
}

/** The members of the object at `from` of a text that is known to be JSON. */
function objectAt(text: string, from: number): Place | undefined {
  const start = match(blank, text, from);
  if (text[start] !== "{") return undefined;
  const members: Member[] = [];
  for (let at = start + 1; ;) {
    const keyStart = match(blank, text, at);
    if (text[keyStart] !== '"') return { members, start, end: keyStart + 1 };
    const keyEnd = match(string, text, keyStart);
    const colon = match(blank, text, keyEnd);
    const valueStart = match(blank, text, colon + 1);
    const end = firstValueEnd(text, valueStart) ?? text.length;
    const key = JSON.parse(text.slice(keyStart, keyEnd)) as string;
    members.push({ key, keyStart, keyEnd, start: valueStart, end });
    at = match(blank, text, end);
    if (text[at] === ",") at++;
  }
}

/** The blanks that the line of a place begins with. */
function indentOf(text: string, at: number): string {
  const line = text.slice(text.lastIndexOf("\n", at) + 1);
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

/** One level of indentation: that of the first member, a tab (as Docker writes) where there is none. */
const unitOf = (text: string): string => /^\s*\{[ \t]*\r?\n([ \t]+)"/.exec(text)?.[1] ?? "\t";

/** A value as it is written behind a key in front of which `gap` stands. */
function format(text: string, gap: string, value: unknown): string {
  if (!gap.includes("\n")) return JSON.stringify(value);
  const indent = gap.slice(gap.lastIndexOf("\n") + 1);
  return JSON.stringify(value, null, unitOf(text)).replaceAll("\n", `\n${indent}`);
}

/** Sets a member in the style of those that are there. */
function setMember(text: string, place: Place, key: string, value: unknown): string {
  const { members } = place;
  const [first] = members;
  const last = members.at(-1);
  if (first === undefined || last === undefined) {
    const outer = indentOf(text, place.start);
    const gap = `\n${outer}${unitOf(text)}`;
    const member = `${JSON.stringify(key)}: ${format(text, gap, value)}`;
    return `${text.slice(0, place.start)}{${gap}${member}\n${outer}}${text.slice(place.end)}`;
  }
  const inFront = text.slice(place.start + 1, first.keyStart);
  const known = members.findLast((member) => member.key === key);
  if (known !== undefined) {
    return text.slice(0, known.start) + format(text, inFront, value) + text.slice(known.end);
  }
  const previous = members.at(-2);
  const colon = text.slice(last.keyEnd, last.start);
  const separator =
    previous === undefined
      ? `,${inFront.includes("\n") || colon === ":" ? inFront : " "}`
      : text.slice(previous.end, last.keyStart);
  const member = `${JSON.stringify(key)}${colon}${format(text, separator, value)}`;
  return `${text.slice(0, last.end)}${separator}${member}${text.slice(last.end)}`;
}

function removeMember(text: string, place: Place, index: number): string {
  const { members } = place;
  const member = members[index];
  if (member === undefined) return text;
  const previous = members[index - 1];
  const next = members[index + 1];
  if (previous !== undefined) return text.slice(0, previous.end) + text.slice(member.end);
  if (next !== undefined) return text.slice(0, member.keyStart) + text.slice(next.keyStart);
  return `${text.slice(0, place.start)}{}${text.slice(place.end)}`;
}

/**
 * The text with members of the object under `name` taken out, and one set in it. `name` is found as Go finds
 * it, in any case; an object that is missing or null is made. `text` must be a JSON object or empty.
 */
export function editMember(
  text: string,
  name: string,
  { remove, set }: { remove: (key: string) => boolean; set?: { key: string; value: unknown } },
): string {
  let edited = text.trim() === "" ? "{}\n" : text;
  const find = (): { member: Member; place: Place | undefined } | undefined => {
    const root = objectAt(edited, 0);
    const named = root?.members.filter(({ key }) => key.toLowerCase() === name.toLowerCase());
    const member = named?.findLast(({ key }) => key === name) ?? named?.at(-1);
    return member && { member, place: objectAt(edited, member.start) };
  };
  for (;;) {
    const place = find()?.place;
    const index = place?.members.findIndex(({ key }) => key !== set?.key && remove(key)) ?? -1;
    if (place === undefined || index === -1) break;
    edited = removeMember(edited, place, index);
  }
  if (set === undefined) return edited;
  const found = find();
  const root = objectAt(edited, 0);
  if (root === undefined) throw new TypeError("the text is not a JSON object");
  return found?.place === undefined
    ? setMember(edited, root, found?.member.key ?? name, { [set.key]: set.value })
    : setMember(edited, found.place, set.key, set.value);
}
