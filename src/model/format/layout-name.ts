import { OcibundleError } from "../../errors.ts";

/** What weights can be written as (docs/artifacts.md). */
export const layoutNames = ["bundle", "bundle-1", "parts", "cog", "modelpack", "image"] as const;
/** A value of `--layout`. */
export type LayoutName = (typeof layoutNames)[number];

/** Whether an image can stand beside weights in a layout, in one index. */
export const holdsImages = (layout: LayoutName): boolean =>
  layout !== "modelpack" && layout !== "image";

/** The variable that stands for `--layout`. */
export const layoutVariable = "OCIBUNDLE_LAYOUT";

/**
 * The name of a layout; `from` names the flag, variable or member that gives it. Throws `usage` unless told
 * otherwise.
 */
export function parseLayout(
  text: string,
  from = "--layout",
  code: "usage" | "file" = "usage",
): LayoutName {
  const known = layoutNames.find((name) => name === text);
  if (known !== undefined) return known;
  throw new OcibundleError(code, `${from} "${text}" is not a layout`, {
    hint: `use one of ${layoutNames.join(", ")}`,
  });
}
