/** Whether a JSON value is an object; a list is none to whoever wrote it. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A member by its name in any case, as Go's decoder finds it. One that is null is as good as missing. */
export function member(object: object, name: string): unknown {
  const wanted = name.toLowerCase();
  const named = Object.entries(object).filter(
    ([key, value]) => key.toLowerCase() === wanted && value !== null,
  );
  return (named.find(([key]) => key === name) ?? named.at(-1))?.[1];
}
