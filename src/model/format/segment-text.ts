import { randomUUID } from "node:crypto";
import { writeNumber } from "./write-number.ts";
import { isSize, Segments } from "./segment-list.ts";

// A document whose lists of segments are read and written as numbers. Parsed as JSON, each of hundreds of thousands of
// segments is a list in memory, several times as large as its text and ten times as large as its numbers.

/** A document without its lists of segments. */
export interface CutDocument {
  /** The same document with a text in place of each list. */
  bytes: Uint8Array;
  /** Puts the lists where they were, below a value that was made of these bytes. */
  restore<T>(value: T): T;
}

const member = '"segments"';

/**
 * Takes the lists out of a document that are values of a member `segments` and have segments only. Any other list, and
 * a document that is no JSON, stays as it is: whoever parses it finds what is wrong.
 */
export function cutSegments(document: Uint8Array): CutDocument {
  const text = Buffer.from(document.buffer, document.byteOffset, document.byteLength);
  // No text of the document has it: what stands for a list is not to be mistaken.
  const mark = randomUUID();
  const lists: Segments[] = [];
  const pieces: Uint8Array[] = [];
  let done = 0;
  for (let at = text.indexOf(member); at >= 0; at = text.indexOf(member, at)) {
    at += member.length;
    const found = readSegments(text, at);
    if (found === undefined) continue;
    pieces.push(text.subarray(done, found.start), Buffer.from(`"${mark}${lists.length}"`));
    lists.push(found.segments);
    done = found.end;
    at = done;
  }
  if (lists.length === 0) return { bytes: document, restore: (value) => value };
  const restored = (value: unknown): unknown => {
    if (typeof value === "string" && value.startsWith(mark)) {
      return lists[Number(value.slice(mark.length))];
    }
    if (typeof value !== "object" || value === null) return value;
    const members = value as Record<string, unknown>;
    for (const key of Object.keys(members)) {
      const before = members[key];
      const after = restored(before);
      if (after !== before) members[key] = after;
    }
    return value;
  };
  return {
    bytes: Buffer.concat([...pieces, text.subarray(done)]),
    restore: <T>(value: T) => restored(value) as T,
  };
}

const [comma, colon, open, close] = [0x2c, 0x3a, 0x5b, 0x5d];
const [zero, nine] = [0x30, 0x39];
const blanks: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** A list behind a member's name, and where it begins and ends; undefined where something else is there. */
function readSegments(
  text: Uint8Array,
  from: number,
): { segments: Segments; start: number; end: number } | undefined {
  let at = from;
  const next = (): number => {
    while (blanks.has(text[at] ?? 0)) at += 1;
    return text[at] ?? 0;
  };
  const isNext = (byte: number): boolean => {
    if (next() !== byte) return false;
    at += 1;
    return true;
  };
  if (!isNext(colon) || next() !== open) return undefined;
  const start = at;
  const end = endOfLists(text, start);
  if (end === undefined) return undefined;
  at = start + 1;
  let isRight = true;
  const take = (): number => {
    let byte = next();
    const first = at;
    let number = 0;
    for (; byte >= zero && byte <= nine; byte = text[at] ?? 0) {
      number = 10 * number + (byte - zero);
      at += 1;
    }
    // Not 01, and nothing that is not exact.
    const isNumber = at > first && (at === first + 1 || text[first] !== zero) && isSize(number);
    isRight &&= isNumber;
    return number;
  };
  const expect = (byte: number): void => {
    isRight &&= isNext(byte);
  };
  let numbers = 0;
  const segments = Segments.read(end.lists, () => {
    if (numbers > 0) expect(comma);
    if (numbers % 3 === 0) expect(open);
    const number = take();
    if (numbers % 3 === 2) expect(close);
    numbers += 1;
    return number;
  });
  expect(close);
  return isRight && at === end.at ? { segments, start, end: at } : undefined;
}

/** Where a list ends that has lists of numbers only, and how many; undefined where it has anything else, or nothing. */
function endOfLists(text: Uint8Array, start: number): { at: number; lists: number } | undefined {
  let lists = 0;
  let isInside = false;
  for (let at = start + 1; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (byte === close) {
      if (!isInside) return lists === 0 ? undefined : { at: at + 1, lists };
      isInside = false;
    } else if (byte === open) {
      if (isInside) return undefined;
      isInside = true;
      lists += 1;
    } else if ((byte < zero || byte > nine) && byte !== comma && !blanks.has(byte))
      return undefined;
  }
  return undefined;
}

/**
 * The bytes of a document that has lists of segments: `make` makes the document, with the text that it gets for each
 * list in its place.
 */
export function withSegmentTexts(
  make: (standIn: (segments: Segments) => string) => Uint8Array,
): Uint8Array<ArrayBuffer> {
  const mark = randomUUID();
  const lists: Segments[] = [];
  const document = make((segments) => `${mark}${lists.push(segments) - 1}`);
  const text = Buffer.from(document.buffer, document.byteOffset, document.byteLength);
  const pieces: Uint8Array[] = [];
  let done = 0;
  for (const [index, segments] of lists.entries()) {
    const name = `"${mark}${index}"`;
    const at = text.indexOf(name, done);
    if (at < 0) throw new TypeError(`a document lacks its list ${index}`);
    pieces.push(text.subarray(done, at), textOf(segments));
    done = at + name.length;
  }
  return new Uint8Array(Buffer.concat([...pieces, text.subarray(done)]));
}

/** Segments as compact JSON. */
function textOf(segments: Segments): Uint8Array {
  let size = 2 + Math.max(0, segments.length - 1);
  segments.each((part, offset, length) => {
    size += 4 + digitsOf(part) + digitsOf(offset) + digitsOf(length);
  });
  const text = Buffer.allocUnsafe(size);
  let at = text.write("[");
  segments.each((part, offset, length) => {
    if (at > 1) text[at++] = comma;
    text[at++] = open;
    at = writeNumber(text, part, at);
    text[at++] = comma;
    at = writeNumber(text, offset, at);
    text[at++] = comma;
    at = writeNumber(text, length, at);
    text[at++] = close;
  });
  text[at] = close;
  return text;
}

function digitsOf(number: number): number {
  let digits = 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  return digits;
}
