// Ends `.ci/run`: reads the list of its steps and the JUnit reports of those that are test runs, and
// prints each step's outcome and, last, `N passed, N failed`. Exits 1 when anything failed.
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

const [stepsFile] = process.argv.slice(2);
if (stepsFile === undefined) throw new Error("usage: count-tests.ts STEPS");

const total: Count = { passed: 0, failed: 0, skipped: 0 };
for (const line of (await readFile(stepsFile, "utf8")).split("\n").filter(Boolean)) {
  const [exitCode, seconds, name, report] = line.split("\t");
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  if (report && existsSync(report)) Object.assign(count, countOf(await readFile(report, "utf8")));
  // A step that is no test run, or a run that broke outside of its tests, is one failure.
  if (exitCode !== "0" && !(count.failed > 0)) count.failed = 1;
  // A test run that left no totals proves nothing.
  if (report && !(count.passed + count.failed > 0)) count.failed = 1;
  const tests = report ? `  ${count.passed} passed, ${count.skipped} skipped` : "";
  console.log(`${count.failed === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)${tests}`);
  total.passed += count.passed || 0;
  total.failed += count.failed;
  total.skipped += count.skipped || 0;
}
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
