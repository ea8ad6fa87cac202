import * as v from "valibot";
import { isObject, openObject, recordOf } from "./open-schemas.ts";

/**
 * An object as Go's `encoding/json` reads one, which is what registries and engines use: a member that is
 * null counts as absent, and a name matches in any case where no member has the exact name. Unknown
 * members are kept as they are.
 */
export function goObject<const TEntries extends v.ObjectEntries>(entries: TEntries) {
  const names = new Map(Object.keys(entries).map((name) => [name.toLowerCase(), name]));
  const asGoReads = (input: Record<string, unknown>): Record<string, unknown> => {
    const members: [string, unknown][] = [];
    for (const [key, value] of Object.entries(input)) {
      const name = names.get(key.toLowerCase());
      if (name === undefined) members.push([key, value]);
      else if (value !== null && (key === name || !Object.hasOwn(input, name))) {
        members.push([name, value]);
      }
    }
    return Object.fromEntries(members);
  };
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, "must be an object"),
    v.transform(asGoReads),
    openObject(entries),
  );
}

/** Text by key; null reads as the empty text. */
export const GoTextMapSchema = recordOf(
  v.string(),
  v.pipe(
    v.nullable(v.string()),
    v.transform((text) => text ?? ""),
  ),
);
