import type { PulledImage, PullReport } from "../report/pull.ts";
import { formatDuration } from "./duration.ts";
import { lastLine, resultLine } from "./result-line.ts";
import { formatSize } from "./size.ts";
import { renderTree } from "./tree.ts";
import type { View } from "./view.ts";

const right = (text: string) => ({ text, align: "right" as const });
const cut = (text: string) => ({ text, cut: true as const });

/** The image as a tree, and one line on what it took. */
export function imageReport(
  name: string,
  { target, digest, platform, written, present, milliseconds }: PulledImage,
  { columns }: View = {},
): string {
  const size = right(formatSize(written + present));
  const tree = renderTree(
    { cells: [name], children: [{ cells: ["image", platform ?? "", cut(target), size] }] },
    columns,
  );
  const amounts = [
    `${formatSize(written)} written`,
    ...(present === 0 ? [] : [`${formatSize(present)} up to date`]),
  ].join(", ");
  const took = formatDuration(milliseconds);
  const line = (shown: string) => `pulled ${shown} to ${target} in ${took}: ${amounts}\n`;
  return tree + resultLine(digest, line, columns);
}

const outcomes = ["fetched", "cached", "kept"] as const;
const words = { fetched: "fetched", cached: "cached", kept: "up to date" } as const;

/** How much there is of the files, as one line or, for who wants more, a line a file; and what it took. */
export function pullReport(
  /** `shownDir`: the directory as it was named. */
  report: PullReport & { shownDir?: string },
  { columns, verbose = false }: View = {},
): string {
  const { name, digest, dir, files, milliseconds, fetched, resumed, reused } = report;
  const { shownDir = dir } = report;
  const summary = {
    cells: [
      "weights",
      `${files.length} ${files.length === 1 ? "file" : "files"}`,
      right(formatSize(sum(files))),
    ],
    ...(verbose
      ? {
          children: files.map((file) => ({
            cells: [
              cut(pathBelow(dir, file.path)),
              right(formatSize(file.size)),
              words[file.outcome as keyof typeof words],
            ],
          })),
        }
      : {}),
  };
  const tree = renderTree({ cells: [name], children: [summary] }, columns);
  const amounts = outcomes.flatMap((outcome) => {
    const some = files.filter((file) => file.outcome === outcome);
    return some.length === 0
      ? []
      : [`${formatSize(outcome === "fetched" ? fetched : sum(some))} ${words[outcome]}`];
  });
  if (reused > 0) amounts.push(`${formatSize(reused)} reused`);
  if (resumed > 0) amounts.push(`resumed at ${formatSize(resumed)}`);
  const what = amounts.length === 0 ? "no files" : amounts.join(", ");
  const took = formatDuration(milliseconds);
  const line = (shown: string) => `pulled ${shown} into ${shownDir} in ${took}: ${what}\n`;
  return tree + resultLine(digest, line, columns) + linkLine(report) + hubLine(report, columns);
}

const sum = (files: PullReport["files"]): number =>
  files.reduce((bytes, { size }) => bytes + size, 0);
const linkNames = {
  reflink: ["reflink", "reflinks"],
  hardlink: [
    "hard link to the cache, which must not be edited",
    "hard links to the cache, which must not be edited",
  ],
  copy: ["copy", "copies"],
} as const;

/** What the files are that came from the cache: a hard link is to be known as one. */
function linkLine({ files }: PullReport): string {
  const parts = Object.entries(linkNames).flatMap(([word, [one, many]]) => {
    const { length } = files.filter(({ link }) => link === word);
    return length === 0 ? [] : [`${length} ${length === 1 ? one : many}`];
  });
  return parts.length === 0 ? "" : `placed as ${parts.join("; ")}\n`;
}

/** How clients of a hub get at the model. */
const hubLine = ({ hfCache }: PullReport, columns: number | undefined): string =>
  hfCache === null
    ? ""
    : lastLine(
        `available to Hugging Face clients as ${hfCache.id} (${hfCache.revisions.join(", ")}) with HF_HUB_OFFLINE=1`,
        columns,
      );

const pathBelow = (dir: string, path: string): string =>
  path.startsWith(`${dir}/`) ? path.slice(dir.length + 1) : path;
