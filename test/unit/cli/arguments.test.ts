import { describe, expect, test } from "bun:test";
import { parseArguments } from "../../../src/cli/arguments.ts";
import type { ArgDefinitions } from "../../../src/cli/command.ts";
import { OcibundleError } from "../../../src/errors.ts";

const description = "";
const definitions = {
  ref: { type: "positional", description },
  shell: { type: "positional", required: false, options: ["bash", "zsh"], description },
  image: { type: "string", description },
  output: { type: "string", alias: "o", default: ".", description },
  only: { type: "string", multiple: true, description },
  count: { type: "number", alias: "n", min: 1, max: 9, description },
  minSize: { type: "size", default: 5, description },
  idleTimeout: { type: "duration", description },
  compression: { type: "enum", options: ["auto", "none", "zstd"], description },
  check: { type: "boolean", alias: "c", description },
  cache: { type: "boolean", default: true, description },
} as const satisfies ArgDefinitions;

const parse = (...words: string[]): Record<string, unknown> =>
  parseArguments(words, definitions, "ocibundle test");

function refusal(...words: string[]): { message: string; hint: string | undefined } {
  try {
    parse(...words);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    expect(error.code).toBe("usage");
    return { message: error.message, hint: error.hint };
  }
  throw new Error("it was taken");
}

describe("arguments", () => {
  test("have defaults where nothing is given", () => {
    expect(parse("r")).toEqual({
      ref: "r",
      shell: undefined,
      image: undefined,
      output: ".",
      only: [],
      count: undefined,
      minSize: 5,
      idleTimeout: undefined,
      compression: undefined,
      check: false,
      cache: true,
    });
  });

  test.each<[string[], Record<string, unknown>]>([
    [["--image=a", "r"], { image: "a", ref: "r" }],
    [["r", "--image", "a"], { image: "a", ref: "r" }],
    [["r", "--image=a=b"], { image: "a=b" }],
    [["r", "--image=--x"], { image: "--x" }],
    [["r", "--image", "-"], { image: "-" }],
    [["-o", "dir", "r"], { output: "dir", ref: "r" }],
    [["-odir", "r"], { output: "dir", ref: "r" }],
    [["-o=dir", "r"], { output: "dir", ref: "r" }],
    [["-cn3", "r"], { check: true, count: 3 }],
    [["r", "--only", "a", "--only=b"], { only: ["a", "b"] }],
    [["r", "--min-size", "25mb"], { minSize: 25 * 1024 * 1024 }],
    [["r", "--idle-timeout", "1h30m"], { idleTimeout: 5_400_000 }],
    [["r", "--compression", "zstd"], { compression: "zstd" }],
    [["r", "--no-cache"], { cache: false }],
    [["r", "--cache=false"], { cache: false }],
    [["r", "--check", "--no-check"], { check: false }],
    [["r", "--image", "a", "--image", "a"], { image: "a" }],
    [["r", "zsh"], { shell: "zsh" }],
    [["--", "-r"], { ref: "-r" }],
    [["--check", "--", "--image"], { ref: "--image", check: true, image: undefined }],
  ])("%j", (words, expected) => {
    expect(parse(...words)).toMatchObject(expected);
  });

  test.each<[string[], string, string | undefined]>([
    [["--imgae", "r"], 'unknown flag "--imgae"', "did you mean --image?"],
    [["--minsize=3", "r"], 'unknown flag "--minsize"', "did you mean --min-size?"],
    [["--minSize=3", "r"], 'unknown flag "--minSize"', "did you mean --min-size?"],
    [["-x", "r"], 'unknown flag "-x"', "run `ocibundle test --help` for usage"],
    [["-cx", "r"], 'unknown flag "-x"', "run `ocibundle test --help` for usage"],
    [["--no-image", "r"], 'unknown flag "--no-image"', undefined],
    [["--__proto__", "r"], 'unknown flag "--__proto__"', undefined],
    [["r", "--image"], "--image needs a value", "use --image=IMAGE"],
    [["r", "--image="], "--image needs a value", "use --image=IMAGE"],
    [["r", "--image", "--check"], "--image needs a value", "use --image=IMAGE"],
    [["r", "-o"], "-o needs a value", "use -o OUTPUT"],
    [
      ["r", "--image", "a", "--image", "b"],
      "--image is specified twice with different values",
      undefined,
    ],
    [["r", "--check=maybe"], '--check: "maybe" is not true or false', undefined],
    [["r", "--no-check=true"], '--no-check takes no value, but has "true"', undefined],
    [["r", "-n", "0"], '-n: "0" is not a whole number from 1 to 9', undefined],
    [["r", "-n", "1.5"], '-n: "1.5" is not a whole number from 1 to 9', undefined],
    [["r", "-n", "0x3"], '-n: "0x3" is not a whole number from 1 to 9', undefined],
    [["r", "--min-size", "big"], '--min-size: "big" is not a size', undefined],
    [["r", "--idle-timeout", "5"], '--idle-timeout: "5" is not a duration', undefined],
    [
      ["r", "--compression", "zsdt"],
      '--compression: "zsdt" is not one of auto, none, zstd',
      "did you mean zstd?",
    ],
    [[], "REF is missing", "run `ocibundle test --help` for usage"],
    [["r", "fish"], 'SHELL: "fish" is not one of bash, zsh', undefined],
    [["r", "zsh", "more"], 'unexpected argument "more"', undefined],
    [[""], "an argument is empty", "check for unset shell variables"],
  ])("%j is refused", (words, message, hint) => {
    const refused = refusal(...words);
    expect(refused.message).toBe(message);
    if (hint !== undefined) expect(refused.hint).toBe(hint);
  });

  test("what is left goes to the rest", () => {
    const rest = {
      first: { type: "positional", description },
      paths: { type: "rest", required: true, description },
    } as const;
    expect(parseArguments(["a", "b", "--", "-c"], rest, "t")).toEqual({
      first: "a",
      paths: ["b", "-c"],
    });
    expect(() => parseArguments(["a"], rest, "t")).toThrow("PATHS is missing");
  });

  test("a flag that is not given is looked up before its default is taken", () => {
    const values = parseArguments(["r", "--count", "2"], definitions, "t", ({ name }) =>
      name === "output" ? "from there" : name === "count" ? 7 : undefined,
    );
    expect(values).toMatchObject({ output: "from there", count: 2, minSize: 5 });
  });
});
