import type { ArgDefinition } from "../cli/command.ts";

/** `--dry-run` of what deletes. */
export const dryRunOfDelete = {
  type: "boolean",
  alias: "n",
  description: "Show what would be deleted without deleting it",
} as const satisfies ArgDefinition;
