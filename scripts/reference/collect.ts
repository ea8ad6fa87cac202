import { describeHelp } from "../../src/cli/describe-help.ts";
import type { AnyCommand, CommandTable } from "../../src/cli/command.ts";
import { commands } from "../../src/commands/table.ts";
import type { HelpDocument } from "../../src/report/help.ts";

/** The help of the program and of each command that is not hidden, in the order of the table. */
export async function collectHelp(): Promise<HelpDocument[]> {
  const program = await describeHelp(undefined, ["ocibundle"], commands);
  return [program, ...(await below(commands, ["ocibundle"]))];
}

/** The help of the commands that `--help` does not list: they are for tests and demonstrations. */
export const collectHidden = (): Promise<HelpDocument[]> => below(commands, ["ocibundle"], true);

async function below(
  table: CommandTable,
  path: readonly string[],
  hidden = false,
): Promise<HelpDocument[]> {
  const all: HelpDocument[] = [];
  for (const [name, load] of Object.entries(table)) {
    const command: AnyCommand = await load();
    if ((command.meta.hidden ?? false) !== hidden) continue;
    const names = [...path, name];
    all.push(await describeHelp(command, names, commands));
    if ("commands" in command) all.push(...(await below(command.commands, names)));
  }
  return all;
}

/** `ocibundle cache ls` → `cache-ls`; the program itself is `ocibundle`. */
export const slugOf = ({ command }: Pick<HelpDocument, "command">): string =>
  command.split(" ").slice(1).join("-") || "ocibundle";
