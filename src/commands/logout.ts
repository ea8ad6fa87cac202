import { defineCommand } from "../cli/command.ts";
import { logout } from "../model/login.ts";

export const command = defineCommand({
  meta: {
    name: "logout",
    description: "Forget the password of a registry",
    example: "ocibundle logout registry.example.com",
  },
  args: {
    host: { type: "positional", description: "The registry, as ghcr.io or localhost:5000" },
  },
  async run({ host }, context) {
    const result = await logout(context, host);
    if (context.flags.json) context.stdout(`${JSON.stringify(result, null, 2)}\n`);
    else if (result.removed) context.stdout(`logged out of ${result.host}\n`);
    else context.stdout(`was not logged in to ${result.host}\n`);
  },
});
