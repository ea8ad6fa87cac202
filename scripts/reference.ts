// Writes docs/reference from the definitions of the commands. `--man DIR` writes manual pages to a directory instead.
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json";
import { collectHelp, collectHidden } from "./reference/collect.ts";
import { manPage, manPageName } from "./reference/man-page.ts";
import { referencePages } from "./reference/markdown.ts";

const { values } = parseArgs({ options: { man: { type: "string" } } });
const all = await collectHelp();
if (values.man === undefined) {
  const directory = join(import.meta.dir, "../docs/reference");
  await mkdir(directory, { recursive: true });
  const pages = referencePages(all, await collectHidden());
  for (const name of await readdir(directory)) {
    if (!pages.has(name)) await rm(join(directory, name));
  }
  for (const [name, text] of pages) await writeFile(join(directory, name), text);
} else {
  const directory = resolve(values.man);
  await mkdir(directory, { recursive: true });
  const date = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? 0) * 1000);
  for (const help of all) {
    await writeFile(
      join(directory, manPageName(help)),
      manPage(help, { version: manifest.version, date }),
    );
  }
}
