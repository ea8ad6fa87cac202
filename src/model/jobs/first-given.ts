/** The first of some flags that was given: a list that has something, a switch that is on, a text, a number. */
export const firstGiven = (
  flags: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>,
): string | undefined =>
  Object.keys(flags).find((name) => {
    const value = flags[name];
    return typeof value === "object" ? value.length > 0 : value !== undefined && value !== false;
  });
