import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { lastRun, text } from "./output.ts";
import type { ScriptCommand } from "./state.ts";

const root = join(import.meta.dir, "../../..");

/** Commands about what `--json` prints. */
export const jsonCommands = {
  /** `json-members PAGE COMMAND`: the last output's top members are those that the page lists for the command. */
  async "json-members"({ args: [page = "", command = ""], state }) {
    const printed: unknown = JSON.parse(text(lastRun(state).stdout));
    if (typeof printed !== "object" || printed === null) throw new Error("not a JSON object");
    const sections = (await readFile(join(root, page), "utf8")).split(/^## /m);
    const section = sections.find((part) => part.split("\n", 1)[0]?.split(", ").includes(command));
    if (section === undefined) throw new Error(`${page} has no section "${command}"`);
    const rows = [...section.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell = ""]) => cell);
    const listed = new Set(rows.flatMap((cell) => cell.match(/[a-zA-Z]+/g) ?? []));
    const unlisted = Object.keys(printed).filter((member) => !listed.has(member));
    if (unlisted.length > 0) throw new Error(`${page} does not name ${unlisted.join(", ")}`);
    const missing = [...listed].filter((member) => !(member in printed) && member !== "plan");
    if (missing.length > 0) throw new Error(`${page} promises ${missing.join(", ")}`);
  },
} satisfies Record<string, ScriptCommand>;
