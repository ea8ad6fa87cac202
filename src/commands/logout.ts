import { defineCommand } from "../cli/command.ts";
import { logout } from "../model/jobs/login.ts";
import { logoutReport } from "../ui/login-report.ts";

/** Reports whether there was a login to forget (`LogoutResult`): none is no failure. */
export const command = defineCommand({
  meta: {
    name: "logout",
    description: "Log out of a registry and remove its stored credentials",
    example: "ocibundle logout registry.example.com",
  },
  args: {
    host: { type: "positional", description: "Registry host, such as ghcr.io or localhost:5000" },
  },
  run: ({ host }, context) => logout(context, host),
  text: logoutReport,
});
