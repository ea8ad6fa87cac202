import { OcibundleError } from "../../../errors.ts";
import type { Fault, FaultFilter, FaultKind } from "./fault.ts";

const kinds = ["status", "reset", "stall", "truncate", "corrupt", "slow", "drop"] as const;
type KindName = (typeof kinds)[number];

/** What may be said of any fault. */
const filterKeys = new Set([
  "method",
  "path",
  "range",
  "after",
  "nth",
  "every",
  "times",
  "p",
  "seed",
]);

/** What may be said of one kind more than of others. */
const kindKeys: Readonly<Record<KindName, readonly string[]>> = {
  status: ["retry-after"],
  reset: ["at"],
  stall: ["at"],
  truncate: ["at"],
  corrupt: ["at"],
  slow: [],
  drop: [],
};

/**
 * Reads a fault: `KIND[:ARGUMENT][,KEY=VALUE…]`, as `status:503,retry-after=1,method=PUT,times=2`
 * (docs/dev/embedded-registry.md, "Faults"). Throws `usage`.
 */
export function parseFault(text: string): Fault {
  const fail = (why: string): OcibundleError =>
    new OcibundleError("usage", `fault "${text}": ${why}`, {
      hint: 'use KIND[:ARGUMENT][,KEY=VALUE…], such as "status:503,method=PUT,times=2"',
    });
  const [head = "", ...rest] = text.split(",");
  const colon = head.indexOf(":");
  const name = colon < 0 ? head : head.slice(0, colon);
  const argument = colon < 0 ? undefined : head.slice(colon + 1);
  if (!isKind(name)) throw fail(`"${name}" is not one of ${kinds.join(", ")}`);
  const said = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    if (!filterKeys.has(key) && !kindKeys[name].includes(key)) {
      throw fail(`"${key}" does not apply to ${name}`);
    }
    if (equals < 0 || equals === part.length - 1) throw fail(`"${key}" has no value`);
    if (said.has(key)) throw fail(`"${key}" is specified twice`);
    said.set(key, part.slice(equals + 1));
  }
  const whole = (key: string, least: number): number | undefined => {
    const value = said.get(key);
    if (value === undefined) return undefined;
    const number = wholeNumber(value);
    if (number === undefined || number < least) {
      throw fail(`"${key}" is not a whole number of at least ${least}`);
    }
    return number;
  };
  const what = kindOf(name, argument, {
    at: whole("at", 0),
    retryAfter: said.get("retry-after"),
    fail,
  });
  return { what, filter: filterOf(said, whole, fail) };
}

type Fail = (why: string) => OcibundleError;

function kindOf(
  name: KindName,
  argument: string | undefined,
  { at, retryAfter, fail }: { at: number | undefined; retryAfter: string | undefined; fail: Fail },
): FaultKind {
  const number = argument === undefined ? undefined : wholeNumber(argument);
  if (name === "status") {
    if (number === undefined || number < 200 || number > 599) {
      throw fail("status needs a code from 200 to 599, such as status:503");
    }
    if (retryAfter !== undefined && !/^[\x20-\x7e]+$/.test(retryAfter)) {
      throw fail('"retry-after" is not a valid header value');
    }
    return { kind: name, status: number, retryAfter };
  }
  if (name === "slow") {
    if (number === undefined || number < 1) {
      throw fail("slow needs bytes per second, such as slow:65536");
    }
    return { kind: name, rate: number };
  }
  if (argument !== undefined) throw fail(`${name} takes no argument`);
  return name === "drop" ? { kind: name } : { kind: name, at };
}

function filterOf(
  said: ReadonlyMap<string, string>,
  whole: (key: string, least: number) => number | undefined,
  fail: Fail,
): FaultFilter {
  const method = said.get("method");
  const methods = method?.split("|");
  if (methods?.some((one) => !/^[A-Z]+$/.test(one)) === true) {
    throw fail('"method" must be a method in upper case, or several separated by "|"');
  }
  const range = said.get("range");
  if (range !== undefined && range !== "yes" && range !== "no") {
    throw fail('"range" must be yes or no');
  }
  const p = said.get("p");
  const probability = p === undefined ? undefined : decimal(p);
  if (p !== undefined && probability === undefined) throw fail('"p" is not a number from 0 to 1');
  const path = said.get("path");
  return {
    methods,
    path: path === undefined ? undefined : pathPattern(path, fail),
    ranged: range === undefined ? undefined : range === "yes",
    after: whole("after", 0) ?? 0,
    nth: whole("nth", 1),
    every: whole("every", 1),
    times: whole("times", 1),
    probability,
    seed: whole("seed", 0) ?? 1,
  };
}

/** `~…` is a regular expression; else `*` stands for any characters, `/` among them. */
function pathPattern(text: string, fail: Fail): RegExp {
  if (text.startsWith("~")) {
    try {
      return new RegExp(text.slice(1));
    } catch {
      throw fail('"path" is not a regular expression');
    }
  }
  const literal = text
    .split("*")
    .map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`));
  return new RegExp(`^${literal.join(".*")}$`);
}

const isKind = (text: string): text is KindName => (kinds as readonly string[]).includes(text);

const wholeNumber = (text: string): number | undefined =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined;

const decimal = (text: string): number | undefined =>
  /^(?:0(?:\.\d{1,9})?|1(?:\.0{1,9})?)$/.test(text) ? Number(text) : undefined;
