import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { goObject } from "./go-object.ts";
import {
  architectureOf,
  isArchitecture,
  isSystem,
  systemOf,
  variantOfName,
} from "./platform-names.ts";

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

/** A version is in brackets behind the system (containerd, Docker), or at the end (crane, regctl). */
const withVersion = /^([^/()]+)\(([^/()]+)\)(\/.*)?$/;
const versionAtEnd = /^([^:,]+)(?::|,osver=)([^:,]+)$/;

/**
 * Reads `os/architecture[/variant]`, in any of its spellings, with a version of the system
 * (`windows(10.0.20348)/amd64`, `windows/amd64:10.0.20348`) or without. An architecture alone is one of Linux, a
 * system alone one of `machine`. Throws `usage`.
 */
export function parsePlatform(text: string, machine?: Platform): Platform {
  const bracketed = withVersion.exec(text);
  const ended = bracketed === null ? versionAtEnd.exec(text) : null;
  const version = bracketed?.[2] ?? ended?.[2];
  const bare = bracketed === null ? (ended?.[1] ?? text) : `${bracketed[1]}${bracketed[3] ?? ""}`;
  const platform = platformOf(bare.split("/"), machine);
  if (platform === undefined || (version !== undefined && !component.test(version))) {
    throw new OcibundleError("usage", `"${text}" is not a platform`, {
      hint: 'a platform is os/architecture or os/architecture/variant, such as "linux/amd64"',
    });
  }
  return { ...platform, ...(version === undefined ? {} : { "os.version": version }) };
}

function platformOf(parts: readonly string[], machine: Platform | undefined): Platform | undefined {
  if (parts.length > 3 || !parts.every((part) => component.test(part))) return undefined;
  const [first = "", second, third] = parts;
  if (isArchitecture(first) && third === undefined) return platformOf(["linux", ...parts], machine);
  if (second !== undefined) {
    return {
      os: first,
      architecture: second,
      ...(third === undefined ? {} : { variant: third }),
    };
  }
  return isSystem(first) && machine !== undefined ? { ...machine, os: first } : undefined;
}

/** `os/architecture[/variant]` in the names that images are told apart by. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture } = canonicalNames(platform);
  return [os, architecture, platform.variant].filter((part) => part).join("/");
}

/** The same with the version of the system, where there is one: `windows(10.0.20348.1)/amd64`. */
export function formatWithVersion(platform: Platform): string {
  const version = platform["os.version"] ?? "";
  const name = formatPlatform(platform);
  return version === "" ? name : name.replace(/^[^/]*/, (os) => `${os}(${version})`);
}

/** Whether this is the platform of something that runs: attestations and weights have unknown/unknown. */
export const isKnownPlatform = (platform: Platform | undefined): platform is Platform =>
  platform !== undefined &&
  platform.os.toLowerCase() !== "unknown" &&
  !["", "unknown"].includes(platform.architecture.toLowerCase());

/** The names that Go has for a system and an architecture. */
const canonicalNames = ({ os, architecture }: Platform) => ({
  os: systemOf(os),
  architecture: architectureOf(architecture),
});

/** A platform as it is written into an index: names as Go has them, variant and version as they are. */
export function writtenPlatform(platform: Platform): Platform {
  const variant = isNamedVariant(platform.architecture)
    ? normalizePlatform(platform).variant
    : platform.variant;
  const { "os.version": version } = platform;
  return {
    ...canonicalNames(platform),
    ...(variant === undefined ? {} : { variant }),
    ...(version === undefined ? {} : { "os.version": version }),
  };
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
  const named = variantOfName(platform.architecture);
  if (named !== undefined) return { os, architecture, variant: named };
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
const firstVariants: ReadonlyMap<string, number> = new Map([
  ["amd64", 1],
  ["arm64", 8],
  ["arm", 7],
]);

const generationOf = (architecture: string, variant: string): number | undefined =>
  variant === ""
    ? (firstVariants.get(architecture) ?? 0)
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
  const variant = variantRank(platform, wanted);
  const version = versionRank(platform["os.version"] ?? "", wanted["os.version"] ?? "");
  return variant === undefined || version === undefined ? undefined : variant + version;
}

/**
 * How well a version suits: an image of Windows runs where the first three numbers, its build, are the same. One that
 * says no version is taken where nothing else is there.
 */
function versionRank(has: string, wanted: string): number | undefined {
  if (wanted === "" || has === wanted) return 0;
  if (has === "") return 2 * lastResort;
  if (has.startsWith(`${wanted}.`)) return 0;
  return buildOf(has) === buildOf(wanted) ? 0.5 : undefined;
}

const buildOf = (version: string): string => version.split(".", 3).join(".");

function variantRank(platform: Platform, wanted: Platform): number | undefined {
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

/** Whether the name of an architecture says a variant of another. */
const isNamedVariant = (architecture: string): boolean =>
  (variantOfName(architecture) ?? "") !== "";

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
