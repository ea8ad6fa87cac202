import { defineCommand } from "../cli/command.ts";
import type { CommandContext } from "../cli/context.ts";
import { OcibundleError } from "../errors.ts";
import { login } from "../model/jobs/login.ts";
import { loginReport } from "../ui/login-report.ts";
import { openPrompt } from "../ui/prompt.ts";
import { readPassword } from "./password-input.ts";

/** Keeps a login once the registry took it (`LoginResult`); `checked` is false where the registry asked for none. */
export const command = defineCommand({
  meta: {
    name: "login",
    description: "Log in to a registry and store the credentials in Docker's configuration",
    example: [
      "ocibundle login registry.example.com",
      "cat token.txt | ocibundle login ghcr.io --username ada --password-stdin",
    ],
  },
  args: {
    host: { type: "positional", description: "Registry host, such as ghcr.io or localhost:5000" },
    username: {
      type: "string",
      alias: "u",
      valueHint: "NAME",
      description: "Username (default: prompt for it)",
    },
    passwordStdin: {
      type: "boolean",
      description: "Read the password from standard input",
    },
  },
  run: ({ host, username, passwordStdin }, context) =>
    login(context, host, () =>
      passwordStdin ? given(username, context) : askFor(username, context),
    ),
  text: loginReport,
});

interface Who {
  username: string;
  password: string;
}

async function given(username: string | undefined, context: CommandContext): Promise<Who> {
  if (username === undefined) {
    throw new OcibundleError("usage", "--password-stdin needs --username", {
      hint: "add --username: standard input holds only the password",
    });
  }
  return { username, password: await readPassword(context) };
}

async function askFor(
  name: string | undefined,
  { stderr: write, signal }: CommandContext,
): Promise<Who> {
  const hint = "use --username, and pass the password on standard input with --password-stdin";
  const prompt = openPrompt({ hint, write, signal });
  try {
    const username = name ?? (await prompt.ask("Username: ", { echo: true }));
    return { username, password: await prompt.ask("Password: ", { echo: false }) };
  } finally {
    prompt.close();
  }
}
