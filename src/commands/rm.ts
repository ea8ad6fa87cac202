import { isatty } from "node:tty";
import { defineCommand } from "../cli/command.ts";
import type { CommandContext } from "../cli/context.ts";
import { OcibundleError } from "../errors.ts";
import { remove } from "../model/jobs/rm.ts";
import { openPrompt } from "../ui/prompt.ts";
import { removalQuestion, removalReport } from "../ui/rm-report.ts";
import { dryRunOfDelete } from "./delete-args.ts";

/**
 * Reports a `Removal`, of what would go with `--dry-run`; `--quiet` prints the digest. Asks at the terminal unless
 * `--yes`.
 */
export const command = defineCommand({
  meta: {
    name: "rm",
    description: "Delete a tag; with --digest, delete the manifest and all its tags",
    example: [
      "ocibundle rm registry.example.com/acme/llama:v1",
      "ocibundle rm --digest registry.example.com/acme/llama:v1 --yes",
    ],
  },
  args: {
    ref: { type: "positional", description: "Registry reference with a tag or digest" },
    digest: { type: "boolean", description: "Delete the manifest and all its tags" },
    yes: { type: "boolean", alias: "y", description: "Do not prompt for confirmation" },
    dryRun: dryRunOfDelete,
  },
  run: ({ ref, digest, yes, dryRun }, context) =>
    remove(context, {
      reference: ref,
      digest,
      dryRun,
      confirm: async (removal) => yes || confirm(removalQuestion(removal), context),
    }),
  text: removalReport,
  digest: ({ digest }) => digest,
});

/** Asks for a yes at the terminal. Throws `usage` where there is none. */
async function confirm(
  question: string,
  { stderr: write, signal }: CommandContext,
): Promise<boolean> {
  const hint = "add --yes to skip the confirmation";
  if (!isatty(0)) {
    throw new OcibundleError(
      "usage",
      "cannot ask for confirmation: standard input is not a terminal",
      { hint },
    );
  }
  const prompt = openPrompt({ hint, write, signal });
  try {
    const answer = await prompt.ask(question.replaceAll("\n", "\r\n"), { echo: true });
    return /^\s*y(?:es)?\s*$/i.test(answer);
  } finally {
    prompt.close();
  }
}
