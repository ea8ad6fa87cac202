import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startBrowser } from "../support/programs/browser.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** The page of `report` in a real browser. */
const { makeDirectory, ocibundle } = workbench();

const hostile = "<img src=x onerror=document.title='taken'>.txt";

testWith(["chromium"], "a report loads without an error or a request at any width", async () => {
  const cwd = await makeDirectory("report");
  const shared = randomBytes(100_000);
  for (const version of ["v1", "v2"]) {
    const weights = join(cwd, version);
    await mkdir(weights);
    await writeFile(join(weights, "shared.bin"), shared);
    await writeFile(join(weights, "own.bin"), randomBytes(200_000));
    await writeFile(join(weights, hostile), "<script>alert(1)</script>");
    for (let at = 0; at < 300; at += 1) {
      await writeFile(join(weights, `part-${String(at).padStart(5, "0")}.bin`), `${version} ${at}`);
    }
    await ocibundle(["lock", version, "-o", `${version}.lock`], { cwd });
    const source = [
      "--output",
      `oci:${version}-layout`,
      "--lock",
      `${version}.lock`,
      "--weights",
      version,
    ];
    await ocibundle(["build", ...source], { cwd });
  }
  await ocibundle(["report", "oci:v1-layout", "oci:v2-layout"], { cwd });
  const address = pathToFileURL(join(cwd, "report.html")).href;
  await using browser = await startBrowser(cwd);
  for (const width of [1280, 390]) {
    const page = await browser.load(address, width, "light");
    expect(page.complaints).toEqual([]);
    expect(page.requests).toEqual([address]);
    expect(await page.evaluate("document.title")).toContain("weights report");
    expect(await page.evaluate("document.images.length + document.scripts.length")).toBe(0);
    // The page itself never scrolls sideways, and the drawing has its size.
    expect(Number(await page.evaluate("document.documentElement.scrollWidth"))).toBeLessThanOrEqual(
      width,
    );
    const boxes = `[...document.querySelectorAll(".tile")].filter((tile) => tile.offsetWidth > 20 && tile.offsetHeight > 20).length`;
    expect(Number(await page.evaluate(boxes))).toBeGreaterThan(2);
    // Hundreds of files do not push the drawing out of sight.
    const drawing = `document.querySelector(".treemap").getBoundingClientRect().top`;
    expect(Number(await page.evaluate(drawing))).toBeLessThan(2000);
    // What opens with a click opens with the keyboard.
    const opens = `(() => { const all = document.querySelector("summary"); all.focus(); return document.activeElement === all })()`;
    expect(await page.evaluate(opens)).toBe(true);
  }
  const colors = async (scheme: "dark" | "light") =>
    (await browser.load(address, 1280, scheme)).evaluate(
      "getComputedStyle(document.body).backgroundColor",
    );
  expect(await colors("dark")).not.toBe(await colors("light"));
});
