import { basename } from "node:path";
import { bashCompletions } from "../cli/completions/bash.ts";
import { fishCompletions } from "../cli/completions/fish.ts";
import { outlineCommands } from "../cli/completions/outline.ts";
import { powershellCompletions } from "../cli/completions/powershell.ts";
import { zshCompletions } from "../cli/completions/zsh.ts";
import { defineCommand, defineCommandGroup } from "../cli/command.ts";
import type { Command, CommandGroup, CommandTable } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { escapeText } from "../ui/text.ts";
import { installCompletions, type Shell, shells } from "../model/jobs/install-completions.ts";

const generators = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
  powershell: powershellCompletions,
} as const;

const titles = { bash: "bash", zsh: "zsh", fish: "fish", powershell: "PowerShell" } as const;

const loading = {
  bash: "source <(ocibundle completions bash)",
  zsh: "source <(ocibundle completions zsh)",
  fish: "ocibundle completions fish | source",
  powershell: "ocibundle completions powershell | Out-String | Invoke-Expression",
} as const;

/** The table is handed in: it is the table that loads this file. */
export function completionsOf(commands: CommandTable): CommandGroup {
  const scriptFor = async (shell: Shell) => generators[shell](await outlineCommands(commands));

  const printing = (shell: Shell): Command =>
    defineCommand({
      meta: {
        name: shell,
        description: `Print the completion script for ${titles[shell]}`,
        example: loading[shell],
      },
      args: {},
      run: async () => ({ shell, script: await scriptFor(shell) }),
      text: ({ script }) => script,
    });

  const install = defineCommand({
    meta: {
      name: "install",
      description: "Install the completion script for a shell",
      example: ["ocibundle completions install", "ocibundle completions install zsh"],
    },
    args: {
      shell: {
        type: "positional",
        required: false,
        options: shells,
        description: "Shell to install for (default: the shell in $SHELL)",
      },
    },
    async run({ shell: named }, context) {
      const shell = named ?? loginShell(context.env["SHELL"]);
      return await installCompletions(context, shell, await scriptFor(shell));
    },
    text: ({ path, next }) =>
      `installed ${escapeText(path)}\n${next === null ? "" : `${escapeText(next)}\n`}`,
  });

  return defineCommandGroup({
    meta: {
      name: "completions",
      description: "Print or install a shell completion script",
      example: [
        "ocibundle completions install",
        "source <(ocibundle completions bash)",
        "ocibundle completions fish > ~/.config/fish/completions/ocibundle.fish",
      ],
    },
    commands: {
      install: async () => install,
      ...Object.fromEntries(shells.map((shell) => [shell, async () => printing(shell)])),
    },
  });
}

/** The shell that a user logs in with. Throws `usage` for one that has no completions here. */
function loginShell(path: string | undefined): Shell {
  const name = basename(path ?? "").replace(/^pwsh.*$/, "powershell");
  const shell = shells.find((one) => one === name);
  if (shell !== undefined) return shell;
  const what =
    path === undefined || path === "" ? "SHELL is not set" : `no completions for "${path}"`;
  throw new OcibundleError("usage", what, {
    hint: `specify a shell: ${shells.map((one) => `\`ocibundle completions install ${one}\``).join(", ")}`,
  });
}
