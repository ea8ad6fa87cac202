import { posix } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { quoted } from "./weight-entry.ts";

/** Names of files that hold weights, by modctl's classes. */
export const weightFiles =
  /\.(?:safetensors|bin|pt|pth|gguf|onnx|h5|pb|tflite|ckpt|engine|pkl|npy|npz|msgpack|model|joblib|parquet)$|\.bin\./i;

interface Nameable {
  path: string;
  /** The path below the directory that was given, with `/` on every system. */
  below: string;
  /** A name that was given, and stays. */
  name?: string | undefined;
}

/**
 * Gives each file its name: the one it was given, or its path below the directory without the last
 * extension. Files whose names would collide keep their extension.
 *
 * Throws `file`, naming both paths, when two files have one name even so.
 */
export function giveNames<T extends Nameable>(files: readonly T[]): (T & { name: string })[] {
  const named = files.map((file) => ({ ...file, name: file.name ?? withoutExtension(file.below) }));
  // A name that keeps its extension can collide with another's short one ("a.bin" with that of
  // "a.bin.gz"), so this goes on until nothing changes: each round lengthens a name or is the last.
  for (let changed = true; changed;) {
    changed = false;
    for (const group of collisions(named)) {
      for (const index of group) {
        const file = files[index];
        const current = named[index];
        if (file === undefined || current === undefined || file.name !== undefined) continue;
        if (current.name === file.below) continue;
        named[index] = { ...current, name: file.below };
        changed = true;
      }
    }
  }
  for (const [first, second] of collisions(named)) {
    const [a, b] = [named[first ?? 0], named[second ?? 0]];
    if (a === undefined || b === undefined) continue;
    throw new OcibundleError(
      "file",
      `two weight files would have the name ${quoted(a.name)}: "${a.path}" and "${b.path}"`,
      { hint: "list them in ocibundle.yaml with different names" },
    );
  }
  return named;
}

/** "a/b.tar.gz" → "a/b.tar"; ".env" stays. */
const withoutExtension = (path: string): string =>
  path.slice(0, path.length - posix.extname(path).length);

/** The indexes of files that have one name, group by group. */
function collisions(files: readonly { name: string }[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [index, { name }] of files.entries()) {
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [index]);
    else group.push(index);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}
