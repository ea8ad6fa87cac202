import { defineCommand } from "../cli/command.ts";
import { listingFailure, listRegistry } from "../model/jobs/ls.ts";
import { repositoryList, tagTable } from "../ui/ls-report.ts";

/**
 * Lists the tags of a repository, or the repositories of a registry. Fails after the list where a tag
 * or its signatures could not be read.
 */
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
      description: "Repository, reference with a tag or digest, or registry host",
    },
  },
  run: ({ ref }, context) => listRegistry(context, ref),
  text: (listing, view) =>
    "repositories" in listing ? repositoryList(listing) : tagTable(listing, view),
  failure: listingFailure,
});
