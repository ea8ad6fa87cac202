import { shortDigest } from "../oci/digest.ts";
import { formatDuration } from "./duration.ts";
import { modelNodes, type ModelView } from "./model-tree.ts";
import { formatSize } from "./size.ts";
import { renderTree } from "./tree.ts";

interface Amount {
  blobs: number;
  bytes: number;
}

/** What `push`, `build` and `copy` tell when they are done. Sizes in bytes. */
export interface PushView {
  /** What was done: `pushed`, `built`, `would push`. */
  action: string;
  target: "registry" | "layout";
  model: ModelView;
  sent: Amount;
  mounted: Amount;
  present: Amount;
  milliseconds: number;
  /** With a dry run: every blob and what would become of it. */
  plan?: readonly { label: string; size: number; outcome: string }[];
}

const sending = { done: "sent", planned: "to send" };
const writing = { done: "written", planned: "to write" };

/** The model as a tree, and one line on what it took. */
export function pushReport(view: PushView): string {
  const { action, target, model, sent, mounted, present, milliseconds, plan } = view;
  const words = target === "registry" ? sending : writing;
  const tree = renderTree({ cells: [model.name], children: modelNodes(model, false) });
  const amounts = [
    `${formatSize(sent.bytes)} ${plan === undefined ? words.done : words.planned}`,
    ...(mounted.blobs === 0 ? [] : [`${formatSize(mounted.bytes)} mounted`]),
    `${formatSize(present.bytes)} already there`,
  ].join(", ");
  const details =
    plan === undefined
      ? ""
      : renderTree({
          cells: ["plan"],
          children: plan.map((blob) => ({
            cells: [
              blob.label,
              { text: formatSize(blob.size), align: "right" as const },
              blob.outcome === "present" ? "already there" : words.planned,
            ],
          })),
        });
  const took = plan === undefined ? ` in ${formatDuration(milliseconds)}` : "";
  return `${tree}${details}${action} ${shortDigest(model.digest)}${took}: ${amounts}\n`;
}
