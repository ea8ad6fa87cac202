import { type Digest, shortDigest } from "../oci/digest.ts";
import { formatDuration } from "./duration.ts";
import { modelNodes, type ModelView } from "./model-tree.ts";
import { formatSize } from "./size.ts";
import { resultLine } from "./result-line.ts";
import { renderTree } from "./tree.ts";
import type { View } from "./view.ts";

interface Amount {
  blobs: number;
  bytes: number;
}

/** What `push`, `build` and `copy` report when they are done. Sizes in bytes. */
export interface PushView {
  /** What was done, or with a dry run what would be: `pushed`, `built`, `would-push`. */
  action: string;
  target: "registry" | "layout";
  model: ModelView;
  sent: Amount;
  /** Of the blobs sent, what an earlier run had sent; not a part of the bytes of `sent`. */
  resumed?: Amount;
  mounted: Amount;
  present: Amount;
  milliseconds: number;
  /** What was copied besides, because it refers to the model. */
  referrers: number;
  /** With a dry run: every blob and what would become of it. */
  plan?: readonly {
    kind: string;
    name: string | null;
    digest: Digest;
    size: number;
    outcome: string;
  }[];
}

const words = {
  done: { registry: "sent", layout: "written", mounted: "mounted" },
  planned: { registry: "to send", layout: "to write", mounted: "to mount" },
} as const;

/** The model as a tree, and one line on what it took. */
export function pushReport(report: PushView, view: View = {}): string {
  const { action, target, model, sent, mounted, present, milliseconds, referrers, plan } = report;
  const { columns, verbose = false } = view;
  const said = words[plan === undefined ? "done" : "planned"];
  const outcomeWord = (outcome: string): string =>
    outcome === "present" ? "up to date" : outcome === "mounted" ? said.mounted : said[target];
  const tree = renderTree(
    { cells: [model.name], children: modelNodes(model, verbose ? "all" : "none", columns) },
    columns,
  );
  const amounts = [
    `${formatSize(sent.bytes)} ${said[target]}`,
    ...(mounted.blobs === 0 ? [] : [`${formatSize(mounted.bytes)} ${said.mounted}`]),
    ...resumedAmount(report.resumed),
    `${formatSize(present.bytes)} up to date`,
  ].join(", ");
  const details =
    plan === undefined
      ? ""
      : renderTree(
          {
            cells: ["plan"],
            children: plan.map((blob) => ({
              cells: [
                {
                  text: `${blob.kind} ${blob.name === null ? shortDigest(blob.digest) : JSON.stringify(blob.name)}`,
                  cut: true as const,
                },
                { text: formatSize(blob.size), align: "right" as const },
                outcomeWord(blob.outcome),
              ],
            })),
          },
          columns,
        );
  const took = plan === undefined ? ` in ${formatDuration(milliseconds)}` : "";
  const more =
    referrers === 0 ? "" : ` and ${referrers} ${referrers === 1 ? "referrer" : "referrers"}`;
  const line = resultLine(
    model.digest,
    (digest) => `${action.replace("-", " ")} ${digest}${more}${took}: ${amounts}\n`,
    columns,
  );
  return tree + details + line;
}

const resumedAmount = (resumed: Amount | undefined): string[] =>
  resumed === undefined || resumed.bytes === 0 ? [] : [`resumed at ${formatSize(resumed.bytes)}`];
