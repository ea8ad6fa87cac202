import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describeError } from "../../src/cli/error-report.ts";
import { OcibundleError } from "../../src/errors.ts";

const source = join(import.meta.dir, "../../src");

/** The text between a bracket that is open and the one that closes it. */
function untilClosed(text: string, start: number): string {
  let quote: string | undefined;
  for (let at = start, depth = 1; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === "\\") at += 1;
    else if (quote !== undefined) quote = char === quote ? undefined : quote;
    else if (`"'\``.includes(char)) quote = char;
    else if (char === "(") depth += 1;
    else if (char === ")" && --depth === 0) return text.slice(start, at);
  }
  return text.slice(start);
}

/** Errors of the command line that do not say what to do, as FILE:LINE. */
function withoutHint(): string[] {
  const names = readdirSync(source, { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const text = readFileSync(join(source, name), "utf8");
      return Array.from(text.matchAll(/new OcibundleError\(\s*"usage"/g), ({ index, 0: start }) => {
        const given = untilClosed(text, index + start.length);
        return /\bhint\b/.test(given) ? "" : `${name}:${text.slice(0, index).split("\n").length}`;
      }).filter((place) => place !== "");
    });
}

const hintOf = (error: unknown): string | undefined => describeError(error, "see help").hint;

describe("hints", () => {
  test("every mistake on a command line has one", () => {
    // A value that is no number or mode is listed with what is allowed.
    const listed = /^(?:cli\/arguments|model\/session\/link-mode)\.ts:/;
    expect(withoutHint().filter((place) => !listed.test(place))).toEqual([]);
  });

  test("what has none gets one of its kind", () => {
    const denied = Object.assign(new Error("EACCES"), { code: "EACCES" });
    expect(hintOf(new OcibundleError("usage", "no"))).toBe("see help");
    expect(hintOf(new OcibundleError("network", "no"))).toContain("-v");
    expect(hintOf(new OcibundleError("integrity", "no"))).toContain("ocibundle verify");
    expect(hintOf(new OcibundleError("system", "no", { cause: denied }))).toContain("permissions");
    expect(hintOf(new OcibundleError("network", "no", { hint: "own" }))).toBe("own");
  });
});
