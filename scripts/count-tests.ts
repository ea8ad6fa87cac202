// Ends `.ci/run`: reads the list of its steps and the JUnit reports of those that are test runs, and
// prints each step's outcome, what the failed tests said, and, last, `N passed, N failed`. Exits 1 when
// anything failed.
//
//   count-tests.ts STEPS     a line a step: exit code, seconds, name, report or nothing; tab-separated
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

/** The totals that a report gives itself, from the attributes of its `<testsuites>` element. */
function countOf(report: string): Count {
  const element = /<testsuites\b[^>]*>/.exec(report)?.[0] ?? "";
  const attribute = (name: string): number =>
    Number(new RegExp(`\\b${name}="(\\d+)"`).exec(element)?.[1]);
  const failed = attribute("failures");
  const skipped = attribute("skipped");
  return { passed: attribute("tests") - failed - skipped, failed, skipped };
}

/** How many different failures of one report are shown. */
const shownFailures = 30;

/** How many characters of what a test said are shown: most is told by its begin and its end. */
const shownCharacters = 800;

function shortened(message: string): string {
  if (message.length <= shownCharacters) return message;
  const half = shownCharacters / 2;
  return `${message.slice(0, half)} ... ${message.slice(-half)}`;
}

/** What the failed tests of a report said: a line each, the most frequent first. */
function failuresOf(report: string): readonly string[] {
  const places = new Map<string, string[]>();
  const cases = report.matchAll(/<testcase\b([^>]*)>\s*<failure\b([^>]*)>/g);
  for (const [, test = "", failure = ""] of cases) {
    const said = text(failure, "message") || text(failure, "type") || "failed";
    const message = shortened(said.split("\n").filter(Boolean).join(" "));
    const where = `${text(test, "file")}:${text(test, "line")} ${text(test, "name")}`;
    places.set(message, [...(places.get(message) ?? []), where]);
  }
  const kinds = [...places].toSorted(([, a], [, b]) => b.length - a.length);
  const shown = kinds.slice(0, shownFailures).map(([message, [first = "", ...others]]) => {
    const more = others.length === 0 ? "" : ` and ${others.length} others`;
    return `     ${first}${more}: ${message}`;
  });
  return kinds.length > shownFailures
    ? [...shown, `     and ${kinds.length - shownFailures} other failures`]
    : shown;
}

/** An attribute of an XML element, without its entities. */
function text(attributes: string, name: string): string {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return value
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&apos;/g, "'")
    .replace(/&amp;/g, "&");
}

const [stepsFile] = process.argv.slice(2);
if (stepsFile === undefined) throw new Error("usage: count-tests.ts STEPS");

const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const line of (await readFile(stepsFile, "utf8")).split("\n").filter(Boolean)) {
  const [exitCode, seconds, name, report] = line.split("\t");
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  const results = report && existsSync(report) ? await readFile(report, "utf8") : "";
  if (results) Object.assign(count, countOf(results));
  // A step that is no test run, or a run that broke outside of its tests, is one failure.
  if (exitCode !== "0" && !(count.failed > 0)) count.failed = 1;
  // A test run that left no totals proves nothing.
  if (report && !(count.passed + count.failed > 0)) count.failed = 1;
  const tests = report ? `  ${count.passed} passed, ${count.skipped} skipped` : "";
  console.log(`${count.failed === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)${tests}`);
  for (const failure of failuresOf(results)) console.log(failure);
  total.passed += count.passed || 0;
  total.failed += count.failed;
  total.skipped += count.skipped || 0;
}
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
