import { defineCommand } from "../cli/command.ts";
import { listingFailure, listRegistry } from "../model/jobs/ls.ts";
import { repositoryList, tagTable } from "../ui/ls-report.ts";

export const command = defineCommand({
  meta: {
    name: "ls",
    description: "List the tags of a repository, or the repositories of a registry",
    example: [
      "ocibundle ls registry.example.com/acme/llama",
      "ocibundle ls registry.example.com/acme/llama:v1 --json",
      "ocibundle ls registry.example.com",
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "A repository, one tag or digest of it, or a registry's host",
    },
  },
  async run({ ref }, context) {
    const { stdout } = context;
    const listing = await listRegistry(context, ref);
    if (context.flags.json) stdout(`${JSON.stringify(listing, null, 2)}\n`);
    else if ("repositories" in listing) stdout(repositoryList(listing));
    else stdout(tagTable(listing));
    const failure = listingFailure(listing);
    if (failure !== undefined) throw failure;
  },
});
