/** A line of a script, taken apart but not yet expanded. */
export interface ScriptLine {
  /** From 1. */
  number: number;
  text: string;
  /** `[unix]`, `[!exec:skopeo]`: all must hold. */
  conditions: { name: string; wanted: boolean }[];
  /** `!`: must fail. `?`: may fail. */
  expects: "success" | "failure" | "either";
  words: Word[];
}

/** A word is pieces, quoted ones taken as they are. */
export type Word = { text: string; quoted: boolean }[];

/** Takes a script apart, without its comments and empty lines. Throws on a quote that is not closed. */
export function parseScript(script: string): ScriptLine[] {
  return script.split("\n").flatMap((text, index) => {
    const line = parseLine(text.replace(/\r$/, ""), index + 1);
    return line === undefined ? [] : [line];
  });
}

function parseLine(text: string, number: number): ScriptLine | undefined {
  const words = splitWords(text, number);
  const conditions: ScriptLine["conditions"] = [];
  const expectations = new Map([
    ["!", "failure"],
    ["?", "either"],
  ] as const);
  let expects: ScriptLine["expects"] = "success";
  for (;;) {
    const plain = plainText(words[0]);
    const condition = plain === undefined ? null : /^\[(!?)([^\]]+)\]$/.exec(plain);
    const expectation = expectations.get(plain as "!" | "?");
    if (condition !== null) {
      conditions.push({ name: condition[2] ?? "", wanted: condition[1] === "" });
    } else if (expectation !== undefined) expects = expectation;
    else break;
    words.shift();
  }
  if (words.length === 0 && conditions.length === 0 && expects === "success") return undefined;
  if (words.length === 0) throw new Error(`line ${number}: no command: ${text}`);
  return { number, text: text.trim(), conditions, expects, words };
}

const plainText = (word: Word | undefined): string | undefined =>
  word?.length === 1 && word[0]?.quoted === false ? word[0].text : undefined;

/** Words are parted by spaces; in single quotes all is taken as it is, and '' there is one quote. */
function splitWords(text: string, number: number): Word[] {
  const words: Word[] = [];
  let word: Word | undefined;
  let index = 0;
  while (index < text.length) {
    const character = text[index] ?? "";
    if (character === " " || character === "\t") {
      word = undefined;
      index += 1;
      continue;
    }
    if (character === "#" && word === undefined) break;
    if (word === undefined) {
      word = [];
      words.push(word);
    }
    if (character === "'") {
      const [content, end] = readQuoted(text, index + 1, number);
      word.push({ text: content, quoted: true });
      index = end;
    } else {
      const end = /[ \t']/.exec(text.slice(index))?.index ?? text.length - index;
      word.push({ text: text.slice(index, index + end), quoted: false });
      index += end;
    }
  }
  return words;
}

function readQuoted(text: string, start: number, number: number): [string, number] {
  let content = "";
  for (let index = start; index < text.length; index += 1) {
    if (text[index] !== "'") content += text[index];
    else if (text[index + 1] === "'") {
      content += "'";
      index += 1;
    } else return [content, index + 1];
  }
  throw new Error(`line ${number}: a quote is not closed: ${text}`);
}

/** Puts the environment's values in: `$NAME`, `${NAME}`, and `${NAME@R}` as a regular expression that matches it. */
export function expandWord(word: Word, env: Readonly<Record<string, string>>): string {
  return word.map(({ text, quoted }) => (quoted ? text : expandText(text, env))).join("");
}

export const expandText = (text: string, env: Readonly<Record<string, string>>): string =>
  text.replaceAll(
    /\$(?:\{(\w+)(@R)?\}|(\w+))/g,
    (_, braced: string | undefined, asPattern: string | undefined, bare: string | undefined) => {
      const value = env[braced ?? bare ?? ""] ?? "";
      return asPattern === undefined
        ? value
        : value.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
    },
  );
