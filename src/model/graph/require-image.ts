import { OcibundleError } from "../../errors.ts";
import type { WeightsContents } from "./manifest-contents.ts";

/** Throws `not_found` where a directory of an image is asked for, and what was found is none. */
export function requireImage(
  contents: readonly WeightsContents[],
  path: string | undefined,
  on: string,
): void {
  const isImage = contents.some(({ packed }) => packed.tars.some(({ overlay }) => overlay));
  if (path === undefined || isImage) return;
  throw new OcibundleError(
    "not_found",
    `${on} is not an image, and --path names a directory of one`,
    {
      hint: "remove --path; `ocibundle pull --only GLOB` selects files",
    },
  );
}
