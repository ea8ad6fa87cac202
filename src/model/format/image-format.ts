import { OcibundleError } from "../../errors.ts";

/**
 * `standalone`: the image alone. `bundle`: an image index of image and weights (docs/format.md).
 * `weights`: no image, the weights artifact alone.
 */
export type ModelFormat = "standalone" | "bundle" | "weights";

/** What the format of the index depends on. */
export interface FormatChoice {
  /** The value of `--format`. */
  flag: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  hasImage: boolean;
  /** Whether there is a lock: that of the working directory, or the one named. */
  hasWeights: boolean;
  /** Whether the command line asks for weights, by `--weights` or `--file`. */
  weightsGiven: boolean;
}

const lockFirst = "run `ocibundle lock ./weights` first, or use --lock";

/**
 * Which format a model gets: `--format` over `OCIBUNDLE_FORMAT` over `COG_OCI_INDEX=1` over `bundle`
 * where there are weights, else `standalone`. Throws `usage` when that contradicts what there is.
 */
export function chooseImageFormat(choice: FormatChoice): ModelFormat {
  const { hasImage, hasWeights, weightsGiven } = choice;
  const asked = wantedFormat(choice);
  if (weightsGiven && !hasWeights) {
    throw new OcibundleError("usage", "weights.lock does not exist", {
      hint: lockFirst,
    });
  }
  if (!hasImage) {
    if (choice.flag !== undefined && asked !== undefined) {
      throw new OcibundleError("usage", `${asked.by} needs an image`, {
        hint: `add --image, or remove ${asked.by}`,
      });
    }
    if (hasWeights) return "weights";
    throw new OcibundleError("usage", "neither an image nor a weights.lock was specified", {
      hint: `add --image, or ${lockFirst}`,
    });
  }
  const format = asked?.format ?? (hasWeights ? "bundle" : "standalone");
  if (format === "bundle" && !hasWeights) {
    throw new OcibundleError("usage", `${asked?.by} needs a weights.lock`, {
      hint: `${lockFirst}, or remove ${asked?.by}`,
    });
  }
  if (format === "standalone" && weightsGiven) {
    throw new OcibundleError("usage", `${asked?.by}: a standalone image cannot hold weights`, {
      hint: "remove --weights, --file and --weights-from, or use --format bundle",
    });
  }
  return format;
}

interface WantedFormat {
  format: "standalone" | "bundle";
  /** What asks for it, as the user wrote it. */
  by: string;
}

function wantedFormat({ flag, env }: FormatChoice): WantedFormat | undefined {
  if (flag !== undefined) return parseFormat(flag, `--format ${flag}`);
  const variable = env["OCIBUNDLE_FORMAT"];
  if (variable !== undefined && variable !== "") {
    return parseFormat(variable, `OCIBUNDLE_FORMAT=${variable}`);
  }
  return env["COG_OCI_INDEX"] === "1" ? { format: "bundle", by: "COG_OCI_INDEX=1" } : undefined;
}

function parseFormat(text: string, by: string): WantedFormat {
  if (text === "standalone" || text === "bundle") return { format: text, by };
  throw new OcibundleError("usage", `${by}: ${JSON.stringify(text)} is not an image format`, {
    hint: 'use "standalone" or "bundle"',
  });
}
