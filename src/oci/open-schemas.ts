import * as v from "valibot";

// The library's own records and loose objects leave out members named "constructor", "prototype" and
// "__proto__". In documents from outside these are names as any other: annotations, hosts, tensors.

type Members = Record<string, unknown>;

export const isObject = (input: unknown): input is Members =>
  typeof input === "object" && input !== null && !Array.isArray(input);

/** An object that has any members, each held against a schema of keys and one of values. All of them are kept. */
export function recordOf<
  TKey extends v.GenericSchema<string, string>,
  TValue extends v.GenericSchema,
>(keySchema: TKey, valueSchema: TValue) {
  type Output = Record<v.InferOutput<TKey>, v.InferOutput<TValue>>;
  return v.pipe(
    v.custom<Members>(isObject, "must be an object"),
    v.rawTransform<Members, Output>(({ dataset, addIssue, NEVER }) => {
      const input = dataset.value;
      const found: [string, unknown][] = [];
      for (const [key, value] of Object.entries(input)) {
        const readKey = v.safeParse(keySchema, key);
        const readValue = v.safeParse(valueSchema, value);
        if (readKey.success && readValue.success) found.push([readKey.output, readValue.output]);
        for (const issue of [...(readKey.issues ?? []), ...(readValue.issues ?? [])]) {
          addIssue(below(issue, { type: "object", origin: "value", input, key, value }));
        }
      }
      if (found.length < Object.keys(input).length) return NEVER;
      // Entries make a member of any name, which assigning to it does not.
      return Object.fromEntries(found) as Output;
    }),
  );
}

/** An object with the members of a schema and any others, which are kept as they are. */
export function openObject<const TEntries extends v.ObjectEntries>(
  entries: TEntries,
  message = "must be an object",
) {
  type Output = v.InferOutput<v.LooseObjectSchema<TEntries, undefined>>;
  return v.pipe(
    v.custom<Members>(isObject, message),
    v.rawTransform<Members, Output>(({ dataset, addIssue, NEVER }) => {
      const read = v.safeParse(v.object(entries), dataset.value);
      if (read.success) return { ...dataset.value, ...read.output } as Output;
      for (const issue of read.issues) addIssue(below(issue));
      return NEVER;
    }),
  );
}

/** What is wrong with a member, as a fault of what has it. */
function below(issue: v.BaseIssue<unknown>, ...at: v.IssuePathItem[]) {
  const [first, ...rest] = [...at, ...(issue.path ?? [])];
  return {
    message: issue.message,
    received: issue.received,
    input: issue.input,
    path: first === undefined ? undefined : ([first, ...rest] as [typeof first, ...typeof rest]),
  };
}
