import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { collectHelp } from "../../scripts/reference/collect.ts";
import { manPage, manPageName } from "../../scripts/reference/man-page.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** The manual pages as groff reads them. */
const { makeDirectory } = workbench();

testWith(["groff"], "manual pages have no faults, and show what they were made from", async () => {
  const manual = await makeDirectory("man");
  const date = new Date("2026-01-01T00:00:00Z");
  for (const help of await collectHelp()) {
    const path = join(manual, manPageName(help));
    await writeFile(path, manPage(help, { version: "1.2.3", date }));
    const groff = Bun.spawn(["groff", "-man", "-ww", "-Tascii", "-P-c", path], {
      env: { PATH: process.env["PATH"] ?? "", MANWIDTH: "200" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [shown, faults] = await Promise.all([
      new Response(groff.stdout).text(),
      new Response(groff.stderr).text(),
    ]);
    expect({ path, faults, code: await groff.exited }).toEqual({ path, faults: "", code: 0 });
    // Bold is struck twice.
    const text = shown.replaceAll(/.\p{Cc}(?=.)/gu, "");
    expect(text).toContain("ocibundle 1.2.3");
    const labels = [...help.flags.map(({ name }) => name), ...help.examples];
    const own = labels.filter((label) => !/^--(?:quiet|verbose|json)$/.test(label));
    expect(own.some((label) => text.includes(label))).toBe(true);
  }
});
