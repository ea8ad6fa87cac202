import type { Expectation, ScriptState } from "./state.ts";

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function lastRun(state: ScriptState): NonNullable<ScriptState["last"]> {
  if (state.last === undefined) throw new Error("no program ran before");
  return state.last;
}

/** `[-count=N] PATTERN` against a text; ^ and $ stand for the ends of lines. */
export function matchPattern(args: readonly string[], expects: Expectation, content: string): void {
  const words = [...args];
  const count = /^-count=(\d+)$/.exec(words[0] ?? "")?.[1];
  if (count !== undefined) words.shift();
  const [pattern, ...more] = words;
  if (pattern === undefined || more.length > 0) throw new Error("one pattern is needed");
  const found = [...content.matchAll(new RegExp(pattern, "gmu"))].length;
  if (count !== undefined && found !== Number(count)) {
    throw new Error(`found ${found} times, not ${count}: ${pattern}`);
  }
  if (expects === "success" && found === 0) throw new Error(`no match for ${pattern}`);
  if (expects === "failure" && found > 0) throw new Error(`a match for ${pattern}`);
}
