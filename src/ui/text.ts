import stringWidth from "string-width";

/**
 * What a terminal would obey or hide in place of showing it: control characters, format characters (marks
 * that turn the direction of text, invisible ones), line and paragraph separators, halves of surrogate
 * pairs. The joiners stay: scripts and emoji need them.
 */
const unsafe = /[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]--[\u200C\u200D]]/gv;

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text from outside (names of weights, messages of registries) made safe to show on one line of a terminal. */
export const escapeText = (text: string): string => text.replaceAll(unsafe, escapeCharacter);

function escapeCharacter(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  if (code.length > 4) return `\\u{${code}}`;
  const escaped = code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  return shortEscapes[character] ?? escaped;
}

/** How many columns of a terminal text takes; colours take none. */
export const displayWidth = (text: string): number => stringWidth(text);

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Cuts text that has no colours to at most `columns`, with an ellipsis where something is missing. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return "";
  let kept = "";
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Not between a number and its unit. */
const betweenWords = / (?!(?<=\d )(?:ms|s|min|h|B|[KMGT]iB)(?:\/s)?(?![A-Za-z]))/;

/**
 * Breaks text between words into lines of at most `width` columns; a longer word, and a number with its unit, stay
 * whole.
 */
export function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(betweenWords)) {
    const last = lines.at(-1) ?? "";
    const longer = last === "" ? word : `${last} ${word}`;
    if (last !== "" && displayWidth(longer) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** Fills text up with spaces to `columns`. */
export function pad(text: string, columns: number, align: "left" | "right" = "left"): string {
  const spaces = " ".repeat(Math.max(0, columns - displayWidth(text)));
  return align === "left" ? text + spaces : spaces + text;
}
