import { shortDigest } from "../oci/digest.ts";
import type { Amount } from "../report/amount.ts";
import type { PublishReport } from "../report/publish.ts";
import { formatDuration } from "./duration.ts";
import { modelNodes } from "./model-tree.ts";
import { formatSize } from "./size.ts";
import { resultLine } from "./result-line.ts";
import { renderTree } from "./tree.ts";
import type { View } from "./view.ts";

const words = {
  done: { registry: "sent", layout: "written", mounted: "mounted" },
  planned: { registry: "to send", layout: "to write", mounted: "to mount" },
} as const;

/** The model as a tree, and one line on what it took. */
export function pushReport(report: PublishReport, view: View = {}): string {
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
    ...(present.bytes === 0 ? [] : [`${formatSize(present.bytes)} up to date`]),
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

const resumedAmount = (resumed: Amount): string[] =>
  resumed.bytes === 0 ? [] : [`resumed at ${formatSize(resumed.bytes)}`];
