import { OcibundleError } from "../../errors.ts";

/**
 * `standalone`: the image alone. `bundle`: an image index of image and weights (docs/format.md).
 * `weights`: no image, the weights artifact alone.
 */
export type ModelFormat = "standalone" | "bundle" | "weights";

export interface FormatChoice {
  /** The value of `--format`. */
  flag: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  hasImage: boolean;
  /** Whether there is a lock: that of the working folder, or the one named. */
  hasWeights: boolean;
  /** Whether the command line asks for weights, by `--weights` or `--file`. */
  weightsGiven: boolean;
}

const lockFirst =
  "lock the weights first, as `ocibundle lock ./weights`, or name a lock with --lock";

/**
 * Which format a model gets: `--format` over `OCIBUNDLE_FORMAT` over `COG_OCI_INDEX=1` over `bundle`
 * where there are weights, else `standalone`. Throws `usage` when that contradicts what there is.
 */
export function chooseImageFormat(choice: FormatChoice): ModelFormat {
  const { hasImage, hasWeights, weightsGiven } = choice;
  const asked = wantedFormat(choice);
  if (weightsGiven && !hasWeights) {
    throw new OcibundleError("usage", "weights are given, but there is no weights.lock", {
      hint: lockFirst,
    });
  }
  if (!hasImage) {
    if (choice.flag !== undefined && asked !== undefined) {
      throw new OcibundleError("usage", `${asked.by}: there is no image`, {
        hint: `add --image, or drop ${asked.by}`,
      });
    }
    if (hasWeights) return "weights";
    throw new OcibundleError("usage", "there is neither an image nor a weights.lock", {
      hint: `add --image, or ${lockFirst}`,
    });
  }
  const format = asked?.format ?? (hasWeights ? "bundle" : "standalone");
  if (format === "bundle" && !hasWeights) {
    throw new OcibundleError("usage", `${asked?.by}: there is no weights.lock to bundle`, {
      hint: `${lockFirst}, or drop ${asked?.by}`,
    });
  }
  if (format === "standalone" && weightsGiven) {
    throw new OcibundleError("usage", `${asked?.by}: a standalone image has no place for weights`, {
      hint: "drop --weights, --file and --weights-from, or use --format bundle",
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
    hint: 'the formats are "standalone" and "bundle"',
  });
}
