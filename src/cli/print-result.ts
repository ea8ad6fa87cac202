import type { View } from "../ui/view.ts";
import type { CommandContext } from "./context.ts";

/** For whom a command's text is, for the reports of `ui`. */
export const viewOf = ({ columns, flags }: Pick<CommandContext, "columns" | "flags">): View => ({
  columns,
  verbose: flags.verbose,
});

/** Prints what a command did: as JSON with `--json`, with `--quiet` the digest alone, else for people. */
export function printResult(
  { flags, stdout }: Pick<CommandContext, "flags" | "stdout">,
  result: object,
  digest: string,
  text: () => string,
): void {
  if (flags.json) stdout(`${JSON.stringify(result, null, 2)}\n`);
  else stdout(flags.quiet ? `${digest}\n` : text());
}
