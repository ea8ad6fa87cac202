import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { goObject } from "./go-object.ts";

/** image-spec v1.1, image-index.md. A half that is missing reads as empty. */
export const platformEntries = {
  os: v.optional(v.string(), ""),
  architecture: v.optional(v.string(), ""),
  variant: v.optional(v.string()),
  "os.version": v.optional(v.string()),
  "os.features": v.optional(v.array(v.string())),
};

/** The platform of an entry. Unknown members are kept. */
export const PlatformSchema = goObject(platformEntries);

/** Operating system, architecture and variant, as Go names them. */
export type Platform = v.InferOutput<typeof PlatformSchema>;

const component = /^[A-Za-z0-9_.-]+$/;

/** Reads `os/architecture[/variant]`, in any of its spellings. Throws `usage`. */
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
      hint: 'a platform is os/architecture or os/architecture/variant, such as "linux/amd64"',
    });
  }
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/** `os/architecture[/variant]` in the names that images are told apart by. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture } = canonicalNames(platform);
  return [os, architecture, platform.variant].filter((part) => part).join("/");
}

/** Whether this is the platform of something that runs: attestations and weights have unknown/unknown. */
export const isKnownPlatform = (platform: Platform | undefined): platform is Platform =>
  platform !== undefined &&
  platform.os.toLowerCase() !== "unknown" &&
  !["", "unknown"].includes(platform.architecture.toLowerCase());

const systems: Readonly<Record<string, string>> = { "": "linux", macos: "darwin" };

const architectures: Readonly<Record<string, string>> = {
  i386: "386",
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
};

/** The names that Go has for a system and an architecture; the variant as it is. */
const canonicalNames = ({ os, architecture }: Platform) => {
  const system = os.toLowerCase();
  const name = architecture.toLowerCase();
  return { os: systems[system] ?? system, architecture: architectures[name] ?? name };
};

/** A platform as it is written into an index: names as Go has them, the variant as it is. */
export function writtenPlatform(platform: Platform): Platform {
  const variant = isNamedVariant(platform.architecture)
    ? normalizePlatform(platform).variant
    : platform.variant;
  return { ...canonicalNames(platform), ...(variant === undefined ? {} : { variant }) };
}

/** One spelling of each platform, as containerd has it: `linux/arm` is `linux/arm/v7`, `arm64/v8` is `arm64`. */
function normalizePlatform(platform: Platform): {
  os: string;
  architecture: string;
  variant: string;
} {
  const { os, architecture } = canonicalNames(platform);
  const said = (platform.variant ?? "").toLowerCase();
  const variant = /^\d/.test(said) ? `v${said}` : said;
  switch (platform.architecture.toLowerCase()) {
    case "i386":
      return { os, architecture, variant: "" };
    case "armhf":
      return { os, architecture, variant: "v7" };
    case "armel":
      return { os, architecture, variant: "v6" };
  }
  switch (architecture) {
    case "amd64":
      return { os, architecture, variant: variant === "v1" ? "" : variant };
    case "arm64":
      return { os, architecture, variant: /^v8(?:\.0)?$/.test(variant) ? "" : variant };
    case "arm":
      return { os, architecture, variant: variant === "" ? "v7" : variant };
    default:
      return { os, architecture, variant };
  }
}

/** The generation that no variant stands for. */
const firstVariants: Readonly<Record<string, number>> = { amd64: 1, arm64: 8, arm: 7 };

const generationOf = (architecture: string, variant: string): number | undefined =>
  variant === ""
    ? (firstVariants[architecture] ?? 0)
    : /^v\d+(?:\.\d+)?$/.test(variant)
      ? Number(variant.slice(1))
      : undefined;

/** Behind everything that runs for certain. */
const lastResort = 1000;

/**
 * How well an image's platform suits the one that is wanted: 0 is the very platform, more is worse,
 * undefined is another. An image of an earlier variant runs on a later one; one of a later variant
 * is taken only where no variant was asked for and nothing else is there.
 */
function platformRank(platform: Platform, wanted: Platform): number | undefined {
  const has = normalizePlatform(platform);
  const wants = normalizePlatform(wanted);
  if (has.os !== wants.os || has.architecture !== wants.architecture) return undefined;
  if (has.variant === wants.variant) return 0;
  const isFree = (wanted.variant ?? "") === "" && !isNamedVariant(wanted.architecture);
  const [there, most] = [has, wants].map(({ architecture, variant }) =>
    generationOf(architecture, variant),
  );
  if (there === undefined || most === undefined) return isFree ? lastResort : undefined;
  if (there <= most) return most - there;
  return isFree ? lastResort + there - most : undefined;
}

/** Names of architectures that say a variant of another. */
const isNamedVariant = (architecture: string): boolean =>
  ["armhf", "armel"].includes(architecture.toLowerCase());

/** Whether `platform` will do for what was asked for. */
export const matchesPlatform = (platform: Platform, wanted: Platform): boolean =>
  platformRank(platform, wanted) !== undefined;

/** The one whose platform suits best, the first of several that suit equally. */
export function bestForPlatform<T extends { platform?: Platform | undefined }>(
  choices: readonly T[],
  wanted: Platform,
): T | undefined {
  let best: { choice: T; rank: number } | undefined;
  for (const choice of choices) {
    if (!isKnownPlatform(choice.platform)) continue;
    const rank = platformRank(choice.platform, wanted);
    if (rank !== undefined && (best === undefined || rank < best.rank)) best = { choice, rank };
  }
  return best?.choice;
}
