import { test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runScript } from "../support/scripts/runner.ts";

// Scripts that move tens of gigabytes, one after another: `scripts/nightly.sh` runs them.
const longest = 3_600_000;
process.env["OCIBUNDLE_COMMAND_SECONDS"] ??= "1800";

for (const name of readdirSync(import.meta.dir).toSorted()) {
  if (!name.endsWith(".txtar")) continue;
  const script = readFileSync(join(import.meta.dir, name), "utf8");
  test(
    name,
    async () => {
      const result = await runScript(script);
      if (result.skipped) process.stderr.write(`skipped ${name}: ${result.reason}\n`);
    },
    longest,
  );
}
