import type { Digest } from "../oci/digest.ts";
import { formatDuration } from "./duration.ts";
import { formatSize } from "./size.ts";
import { renderTree } from "./tree.ts";

/** What `pull` shows. Sizes in bytes. */
export interface PullView {
  name: string;
  digest: Digest;
  dir: string;
  files: readonly { name: string; path: string; size: number; outcome: string }[];
  milliseconds: number;
}

/** What `pull --image` shows. Sizes in bytes. */
export interface ImageView {
  target: string;
  digest: Digest;
  platform: string | null;
  written: number;
  present: number;
  milliseconds: number;
}

/** The image as a tree, and one line on what it took. */
export function imageReport(
  name: string,
  { target, digest, platform, written, present, milliseconds }: ImageView,
): string {
  const size = { text: formatSize(written + present), align: "right" as const };
  const tree = renderTree({
    cells: [name],
    children: [{ cells: ["image", platform ?? "", target, size] }],
  });
  const amounts = [
    `${formatSize(written)} written`,
    ...(present === 0 ? [] : [`${formatSize(present)} already there`]),
  ].join(", ");
  return `${tree}pulled ${digest} to ${target} in ${formatDuration(milliseconds)}: ${amounts}\n`;
}

const outcomes = ["fetched", "cached", "kept"] as const;
const says = { fetched: "fetched", cached: "from the cache", kept: "there already" } as const;

/** The files as a tree, and one line on what it took. */
export function pullReport({ name, digest, dir, files, milliseconds }: PullView): string {
  const tree = renderTree({
    cells: [name],
    children: files.map((file) => ({
      cells: [
        file.name,
        file.path,
        { text: formatSize(file.size), align: "right" as const },
        says[file.outcome as keyof typeof says],
      ],
    })),
  });
  const amounts = outcomes.flatMap((outcome) => {
    const some = files.filter((file) => file.outcome === outcome);
    const bytes = some.reduce((sum, { size }) => sum + size, 0);
    return some.length === 0 ? [] : [`${formatSize(bytes)} ${says[outcome]}`];
  });
  const what = amounts.length === 0 ? "no files" : amounts.join(", ");
  return `${tree}pulled ${digest} into ${dir} in ${formatDuration(milliseconds)}: ${what}\n`;
}
