import type { BlobOutcome } from "../oci/content.ts";
import type { Digest } from "../oci/digest.ts";
import type { AssembledModel } from "./assemble.ts";
import type { Amount, Published } from "./publish.ts";
import { type ModelSummary, summarize } from "./summary.ts";

/** What `push` and `build` answer; with `--json` its shape is part of the surface (docs/json.md). */
export interface PublishReport {
  action: string;
  model: { name: string } & ModelSummary;
  sent: Amount;
  mounted: Amount;
  present: Amount;
  milliseconds: number;
  /** With a dry run: every blob, and whether it is there. */
  plan?: { label: string; digest: Digest; size: number; outcome: BlobOutcome }[];
}

/** Puts together what was published and what it took. */
export function publishReport(done: {
  name: string;
  action: string;
  model: AssembledModel;
  published: Published;
  milliseconds: number;
  dryRun: boolean;
}): PublishReport {
  const { name, action, model, published, milliseconds, dryRun } = done;
  const { sent, mounted, present, outcomes } = published;
  const plan = model.blobs.flatMap(({ label, descriptor: { digest, size } }) => {
    const outcome = outcomes.get(digest);
    return outcome === undefined ? [] : [{ label, digest, size, outcome }];
  });
  return {
    action,
    model: { name, ...summarize(model.root, model.children, name) },
    sent,
    mounted,
    present,
    milliseconds: Math.round(milliseconds),
    ...(dryRun ? { plan } : {}),
  };
}
