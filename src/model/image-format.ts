import { OcibundleError } from "../errors.ts";

/** `standalone`: the image alone. `bundle`: an image index of image and weights (docs/format.md). */
export type ImageFormat = "standalone" | "bundle";

const formats: readonly string[] = ["standalone", "bundle"] satisfies ImageFormat[];

export interface FormatChoice {
  /** The value of `--format`. */
  flag: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** Whether there are weights to push: a lock was found or named. */
  hasWeights: boolean;
  /** Whether the command line asks for weights, by `--weights`, `--file` or `--lock`: its first such flag. */
  weightsFlag?: string | undefined;
}

/**
 * Which format a model gets: `--format` over `OCIBUNDLE_FORMAT` over `COG_OCI_INDEX=1` over `bundle`
 * where there are weights, else `standalone`. Throws `usage` when that and the weights contradict.
 */
export function chooseImageFormat({
  flag,
  env,
  hasWeights,
  weightsFlag,
}: FormatChoice): ImageFormat {
  const [format, chosenBy] = wanted(flag, env) ?? [hasWeights ? "bundle" : "standalone", undefined];
  if (format === "bundle" && !hasWeights) {
    throw new OcibundleError("usage", `${chosenBy}: there is no weights.lock to bundle`, {
      hint: `run \`ocibundle lock\` first, name a lock with --lock, or drop ${chosenBy}`,
    });
  }
  if (format === "standalone" && weightsFlag !== undefined) {
    throw new OcibundleError(
      "usage",
      `${chosenBy ?? "standalone"} has no place for ${weightsFlag}`,
      {
        hint:
          chosenBy === undefined
            ? "run `ocibundle lock` first, or name a lock with --lock"
            : `drop ${weightsFlag}, or use --format bundle`,
      },
    );
  }
  return format;
}

/** The format asked for, and what asks for it. */
function wanted(
  flag: string | undefined,
  env: FormatChoice["env"],
): [ImageFormat, string] | undefined {
  if (flag !== undefined) return [parseFormat(flag, "--format"), `--format ${flag}`];
  const variable = env["OCIBUNDLE_FORMAT"];
  if (variable !== undefined && variable !== "") {
    return [parseFormat(variable, "OCIBUNDLE_FORMAT"), `OCIBUNDLE_FORMAT=${variable}`];
  }
  return env["COG_OCI_INDEX"] === "1" ? ["bundle", "COG_OCI_INDEX=1"] : undefined;
}

const isFormat = (text: string): text is ImageFormat => formats.includes(text);

function parseFormat(text: string, on: string): ImageFormat {
  if (isFormat(text)) return text;
  throw new OcibundleError("usage", `${on}: ${JSON.stringify(text)} is not an image format`, {
    hint: `the formats are ${formats.join(" and ")}`,
  });
}
