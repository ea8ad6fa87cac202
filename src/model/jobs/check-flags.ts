import { OcibundleError } from "../../errors.ts";
import type { LayoutName } from "../format/layout-name.ts";
import { readProjectFile } from "../format/read-project-file.ts";
import { imageOnly, partsOnly } from "../layout/layouts.ts";
import { firstGiven } from "./first-given.ts";
import type { Session } from "../session/session.ts";
import type { ModelParts } from "./model-parts.ts";

/** What says where the weights of a push come from, besides the parts of the model. */
interface PushedPaths {
  paths?: readonly string[] | undefined;
  allowIncomplete?: boolean | undefined;
  /** False for `--no-lock`. */
  writeLock?: boolean | undefined;
  updateLock?: boolean | undefined;
}

/** Refuses flags that would have no effect with the others. Throws `usage`, and `file` for a faulty project file. */
export async function checkModelFlags(
  { cwd }: Pick<Session, "cwd">,
  parts: ModelParts & PushedPaths,
  layout: LayoutName,
): Promise<void> {
  const { mostParts, compression, weightsFrom, root, volume, platform, image } = parts;
  if (compression !== undefined && layout !== "parts") {
    throw new OcibundleError("usage", "--compression needs --parts", {
      hint: "add --parts; to compress whole files, use `ocibundle lock --compression`",
    });
  }
  if (mostParts !== undefined && layout !== "parts") throw partsOnly("--most-parts");
  if (root !== undefined && layout !== "image" && volume !== true) throw imageOnly();
  if (platform !== undefined && image === undefined) {
    throw new OcibundleError("usage", "--platform needs an image", {
      hint: "add --image, or remove --platform",
    });
  }
  if (weightsFrom !== undefined) refuseBesideModel(parts);
  else await checkPatterns(cwd, parts);
}

const besideModel = (flag: string, hint: string): OcibundleError =>
  new OcibundleError("usage", `--weights-from and ${flag} cannot be used together`, { hint });

/** The weights of another model are taken whole and as they are. Throws `usage`. */
function refuseBesideModel({ weights, file, lock, include, exclude }: ModelParts) {
  const other = firstGiven({ "--weights": weights, "--file": file, "--lock": lock });
  if (other !== undefined) {
    throw besideModel(other, "use either local files or the weights of another model");
  }
  const pattern = patternFlag({ include, exclude });
  if (pattern !== undefined) {
    throw besideModel(pattern, "pull the files that you want, then push them");
  }
}

/** Patterns choose from directories, not from a lock. Throws `usage`, and `file` for a faulty project file. */
async function checkPatterns(cwd: string, parts: ModelParts & PushedPaths): Promise<void> {
  const flag = patternFlag(parts);
  if (flag === undefined || parts.weights.length > 0 || (parts.paths ?? []).length > 0) return;
  const project = parts.file.length > 0 ? undefined : (await readProjectFile(cwd))?.project;
  if (project !== undefined && project.weights.length > 0) return;
  throw new OcibundleError("usage", `${flag} needs a directory of weights`, {
    hint: "add --weights DIR; to push only some files of a lock, lock only those",
  });
}

const patternFlag = ({
  include,
  exclude,
}: Pick<ModelParts, "include" | "exclude">): string | undefined =>
  firstGiven({ "--include": include, "--exclude": exclude });

/** Refuses what does not go with directories after the reference, or with their absence. Throws `usage`. */
export function checkPathFlags({
  paths = [],
  lock,
  writeLock,
  updateLock,
  allowIncomplete,
  weights,
  file,
  weightsFrom,
}: ModelParts & PushedPaths): void {
  if (paths.length === 0) {
    const flag = firstGiven({
      "--update-lock": updateLock,
      "--no-lock": writeLock === false,
      "--allow-incomplete": allowIncomplete,
    });
    if (flag === undefined) return;
    throw new OcibundleError("usage", `${flag} needs a directory to push`, {
      hint: "add the directory after the reference: `ocibundle push REF ./weights`",
    });
  }
  const other = firstGiven({ "--weights": weights, "--file": file, "--weights-from": weightsFrom });
  if (other !== undefined) {
    throw new OcibundleError(
      "usage",
      `${other} and a directory after the reference cannot be used together`,
      { hint: "specify all directories after the reference, or all with --weights" },
    );
  }
  const ofLock = firstGiven({ "--update-lock": updateLock, "--lock": lock });
  if (writeLock !== false || ofLock === undefined) return;
  throw new OcibundleError("usage", `${ofLock} and --no-lock cannot be used together`, {
    hint: "remove one of them: with --no-lock, no lock is read or written",
  });
}
