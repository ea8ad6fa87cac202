import * as v from "valibot";

/** What is wrong with a member that no settings have. */
export const unknownMember = "is not known";

/** What is wrong with a member that is not known, missing, or not a mapping. */
export const known = (issue: { expected: string | null; received: string }): string => {
  if (issue.expected === "never") return unknownMember;
  return issue.received === "undefined" ? "is missing" : "must be a mapping";
};

/** A list is an object too. */
export const MappingSchema = v.custom<object>(
  (input) => typeof input === "object" && input !== null && !Array.isArray(input),
  "must be a mapping",
);

/** A setting that is on or off. */
export const FlagSchema = v.optional(v.boolean("must be true or false"));
/** A setting that is a path. */
export const PathSchema = v.optional(
  v.pipe(v.string("must be a path"), v.minLength(1, "must not be empty")),
);
