import type { Flag } from "./tokens.ts";

/** What help shows in the place of a flag's value. */
export function valueHint({ name, definition }: Flag): string {
  if (definition.valueHint !== undefined) return definition.valueHint;
  if (definition.type === "enum") return definition.options.join("|");
  return definition.type === "string" || definition.type === "boolean"
    ? name.toUpperCase()
    : definition.type.toUpperCase();
}
