import type { PullPlanReport } from "../report/pull.ts";
import { resultLine } from "./result-line.ts";
import { formatSize } from "./size.ts";
import { renderTree, type TreeNode } from "./tree.ts";
import type { View } from "./view.ts";

const words = { "to-fetch": "to fetch", cached: "cached", kept: "up to date" } as const;
const outcomes = ["kept", "cached", "to-fetch"] as const;

/** Removed files that are listed without `--verbose`. */
const removedShown = 10;

const filesOf = (count: number, bytes: number): string =>
  `${count} ${count === 1 ? "file" : "files"}, ${formatSize(bytes)}`;

/** `would pull sha256:… into DIR: 12 files, 16.1 GiB; 4 files, 15.9 GiB cached; 8 files, 9.0 MiB to fetch` */
export function pullPlanReport(
  /** `shownDir`: the directory as it was named. */
  report: PullPlanReport & { shownDir?: string },
  { columns, verbose = false }: View = {},
): string {
  const { name, digest, dir, files, archives, removed, shownDir = dir } = report;
  const below = (path: string): string =>
    path.startsWith(`${dir}/`) ? path.slice(dir.length + 1) : path;
  const children: TreeNode[] = verbose
    ? files.map(({ path, size, outcome }) => ({
        cells: [
          { text: below(path), cut: true },
          { text: formatSize(size), align: "right" },
          words[outcome],
        ],
      }))
    : [];
  const shown = verbose ? removed : removed.slice(0, removedShown);
  const more = removed.length - shown.length;
  const packed = `${archives.length} ${archives.length === 1 ? "archive" : "archives"}, ${formatSize(sizeOf(archives))}`;
  // Of archives that are not unpacked nobody knows how many files they have.
  const known = [
    ...(files.length > 0 ? [filesOf(files.length, sizeOf(files))] : []),
    ...(archives.length > 0 ? [packed] : []),
  ];
  const nodes: TreeNode[] = [
    { cells: ["weights", known[0] ?? "no files"], children },
    ...(removed.length === 0
      ? []
      : [
          {
            cells: ["to remove", `${removed.length} ${removed.length === 1 ? "file" : "files"}`],
            children: [
              ...shown.map((path) => ({ cells: [{ text: below(path), cut: true as const }] })),
              ...(more > 0 ? [{ cells: [`… ${more} more, listed with -v`] }] : []),
            ],
          },
        ]),
  ];
  const amounts = [
    ...(files.length > 0 ? known.slice(0, 1) : []),
    ...outcomes.flatMap((outcome) => {
      const some = files.filter((file) => file.outcome === outcome);
      if (some.length === 0) return [];
      // What is fetched is less than the files where they are compressed, or are there in part.
      const bytes = outcome === "to-fetch" ? report.fetch - sizeOf(archives) : sizeOf(some);
      return [`${filesOf(some.length, bytes)} ${words[outcome]}`];
    }),
    ...(archives.length === 0 ? [] : [`${packed} to fetch`]),
    ...(report.reused === 0 ? [] : [`${formatSize(report.reused)} reused`]),
    ...(report.resumed === 0 ? [] : [`resumed at ${formatSize(report.resumed)}`]),
  ];
  const line = (text: string) => `would pull ${text} into ${shownDir}: ${amounts.join("; ")}\n`;
  const unknown = archives.filter(({ listed }) => !listed).length;
  return (
    renderTree({ cells: [name], children: nodes }, columns) +
    resultLine(digest, line, columns) +
    (unknown === 0 ? "" : "files of archives are known once the archives are unpacked\n")
  );
}

const sizeOf = (all: readonly { size: number }[]): number =>
  all.reduce((sum, { size }) => sum + size, 0);
