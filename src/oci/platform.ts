import * as v from "valibot";
import { OcibundleError } from "../errors.ts";

/** image-spec v1.1, image-index.md: the platform of an entry. Unknown members are kept. */
export const PlatformSchema = v.looseObject({
  os: v.string(),
  architecture: v.string(),
  variant: v.optional(v.string()),
  "os.version": v.optional(v.string()),
  "os.features": v.optional(v.array(v.string())),
});

export type Platform = v.InferOutput<typeof PlatformSchema>;

const component = /^[A-Za-z0-9_.-]+$/;

/** Reads `os/architecture[/variant]`. Throws `usage`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const [os, architecture, variant] = parts;
  if (
    os === undefined ||
    architecture === undefined ||
    parts.length > 3 ||
    !parts.every((part) => component.test(part))
  ) {
    throw new OcibundleError("usage", `"${text}" is not a platform`, {
      hint: 'a platform is os/architecture or os/architecture/variant, as "linux/amd64"',
    });
  }
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export const formatPlatform = (platform: Platform): string =>
  [platform.os, platform.architecture, platform.variant].filter((part) => part).join("/");

/** Whether this is the platform of something that runs: attestations and weights have unknown/unknown. */
export const isKnownPlatform = (platform: Platform | undefined): platform is Platform =>
  platform !== undefined && platform.os !== "unknown" && platform.architecture !== "unknown";

/** Whether `platform` is what was asked for; the variant counts only where one was asked for. */
export const matchesPlatform = (platform: Platform, wanted: Platform): boolean =>
  platform.os === wanted.os &&
  platform.architecture === wanted.architecture &&
  (wanted.variant === undefined || platform.variant === wanted.variant);
