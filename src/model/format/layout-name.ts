import { OcibundleError } from "../../errors.ts";

/** What weights can be written as (docs/artifacts.md). */
export const layoutNames = ["bundle", "bundle-1", "parts", "cog", "modelpack", "image"] as const;
/** A value of `--layout`. */
export type LayoutName = (typeof layoutNames)[number];

/** Whether an image can stand beside weights in a layout, in one index. */
export const holdsImages = (layout: LayoutName): boolean =>
  layout !== "modelpack" && layout !== "image";

/** The name of a layout. Throws `usage`. */
export function parseLayout(text: string): LayoutName {
  const known = layoutNames.find((name) => name === text);
  if (known !== undefined) return known;
  throw new OcibundleError("usage", `--layout "${text}" is not a layout`, {
    hint: `use one of ${layoutNames.join(", ")}`,
  });
}
