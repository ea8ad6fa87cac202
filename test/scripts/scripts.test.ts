import { test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pLimit from "p-limit";
import { runScript } from "../support/scripts/runner.ts";

/** In milliseconds, waiting for the others included. */
const longest = 300_000;
const limit = pLimit(4);

for (const name of readdirSync(import.meta.dir).toSorted()) {
  if (!name.endsWith(".txtar")) continue;
  const script = readFileSync(join(import.meta.dir, name), "utf8");
  test.concurrent(
    name,
    async () => {
      const result = await limit(() => runScript(script));
      if (result.skipped) process.stderr.write(`skipped ${name}: ${result.reason}\n`);
    },
    longest,
  );
}
