import type { CommandContext } from "../cli/context.ts";
import { OcibundleError } from "../errors.ts";
import { openPrompt } from "../ui/prompt.ts";
import { readPassword } from "./password-input.ts";

const hint = "set COSIGN_PASSWORD, or pass the password on standard input with --password-stdin";

/**
 * The password of a private key: COSIGN_PASSWORD, as cosign has it, which may be empty; standard input with
 * `--password-stdin`; else a prompt, twice for a new one. Throws `usage` where nobody can be asked.
 */
export async function keyPassword(
  context: CommandContext,
  { fromStdin, isNew }: { fromStdin: boolean; isNew: boolean },
): Promise<string> {
  if (fromStdin) return readPassword(context);
  const known = context.env["COSIGN_PASSWORD"];
  if (known !== undefined) return known;
  const { stderr: write, signal } = context;
  const prompt = openPrompt({ hint, write, signal });
  try {
    const password = await prompt.ask("Password of the key: ", { echo: false });
    if (isNew && (await prompt.ask("Again: ", { echo: false })) !== password) {
      throw new OcibundleError("usage", "the passwords differ", { hint: "run the command again" });
    }
    return password;
  } finally {
    prompt.close();
  }
}
