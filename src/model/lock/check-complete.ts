import { basename, dirname, extname } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { JobContext } from "../session/session.ts";
import { unreadable } from "../weights/file-errors.ts";
import { incompleteBecause } from "../weights/incomplete-file.ts";
import { statWeight } from "../weights/file-state.ts";
import type { WeightFile } from "../weights/weight-files.ts";
import { openRegular } from "../../runtime/regular-file.ts";

/** Files looked at at once. */
const checksAtOnce = 16;

const isLocal = ({ remote }: WeightFile): boolean => remote === undefined;

const pickleExtensions = new Set([".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"]);

/**
 * Looks at weight files before they are hashed. Throws `file` for one that is not whole (see
 * `incompleteBecause`), naming it; with `allowIncomplete` that is a warning. Warns of pickles beside
 * safetensors files: they run code when they are loaded, and hold the same weights.
 */
export async function checkComplete(
  { signal, emit }: Pick<JobContext, "signal" | "emit">,
  files: readonly WeightFile[],
  allowIncomplete: boolean,
): Promise<void> {
  const faults = await parallel(files.filter(isLocal), checksAtOnce, signal, async ({ path }) => {
    const fault = await faultOf(path);
    return fault === undefined ? [] : [`"${path}" ${fault}`];
  });
  const [first, ...more] = faults.flat();
  if (first !== undefined) {
    const message = `${first}${more.length === 0 ? "" : `, and ${more.length} more are incomplete`}`;
    if (!allowIncomplete) {
      throw new OcibundleError("file", message, {
        hint: "download it again (such as with `git lfs pull`), or add --allow-incomplete",
      });
    }
    emit({ type: "warning", message });
  }
  const pickles = await picklesBeside(files);
  const [pickle, ...others] = pickles;
  if (pickle === undefined) return;
  const are = others.length === 0 ? "is a pickle" : `and ${others.length} more are pickles`;
  emit({
    type: "warning",
    message: `"${pickle}" ${are} beside safetensors files; loading a pickle can run code; use --exclude to omit it`,
  });
}

async function faultOf(path: string): Promise<string | undefined> {
  const { size } = await statWeight(path);
  try {
    return await incompleteBecause(path, Number(size));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function picklesBeside(files: readonly WeightFile[]): Promise<string[]> {
  const safe = new Set(
    files.flatMap(({ path }) => (extname(path) === ".safetensors" ? [dirname(path)] : [])),
  );
  if (safe.size === 0) return [];
  const suspects = files.filter(
    ({ path }) => pickleExtensions.has(extname(path)) && safe.has(dirname(path)),
  );
  const found: string[] = [];
  for (const { path, remote } of suspects) {
    // The name is all that is known of a remote file without fetching it.
    if (remote === undefined ? await isPickle(path) : true) found.push(basename(path));
  }
  return found;
}

/** Python's pickles since protocol 2, and the zip files with one in them that PyTorch writes. */
async function isPickle(path: string): Promise<boolean> {
  try {
    await using file = await openRegular(path);
    const [a = 0, b = 0] = (await file.read(new Uint8Array(2), 0, 2, 0)).buffer;
    return (a === 0x80 && b >= 2 && b <= 5) || (a === 0x50 && b === 0x4b);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
