import { bashCompletions } from "../cli/completions/bash.ts";
import { fishCompletions } from "../cli/completions/fish.ts";
import { outlineCommands } from "../cli/completions/outline.ts";
import { zshCompletions } from "../cli/completions/zsh.ts";
import { defineCommand } from "../cli/command.ts";
import type { Command, CommandTable } from "../cli/command.ts";

const generators = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const;

/** The table is handed in: it is the table that loads this file. */
export const completionsOf = (commands: CommandTable): Command =>
  defineCommand({
    meta: {
      name: "completions",
      description: "Print a shell completion script",
      example: [
        "source <(ocibundle completions bash)",
        "ocibundle completions zsh > ~/.zsh/completions/_ocibundle",
        "ocibundle completions fish > ~/.config/fish/completions/ocibundle.fish",
      ],
    },
    args: {
      shell: {
        type: "positional",
        options: ["bash", "zsh", "fish"],
        description: "Shell to complete in",
      },
    },
    run: async ({ shell }) => ({
      shell,
      script: generators[shell](await outlineCommands(commands)),
    }),
    text: ({ script }) => script,
  });
