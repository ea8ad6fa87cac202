import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { inspectTensors } from "../model/jobs/inspect-tensors.ts";
import { inspectRaw, inspectSource } from "../model/jobs/inspect.ts";
import { allReferrers, listAllReferrers } from "../model/jobs/referrers.ts";
import { lockTree, modelTree } from "../ui/model-tree.ts";
import { tensorsTree } from "../ui/tensors-tree.ts";
import { referrersLine } from "../ui/referrers-report.ts";

/**
 * Reports a lock or a model, with `--tensors` the tensors of its files; `--raw` writes the stored bytes of the lock or
 * manifest.
 */
export const command = defineCommand({
  meta: {
    name: "inspect",
    description: "Show the content of a reference, layout, archive or lock file",
    example: [
      "ocibundle inspect registry.example.com/acme/llama:v1",
      "ocibundle inspect registry.example.com/acme/llama:v1 --tensors",
      "ocibundle inspect oci:./model --json",
      "ocibundle inspect weights.lock",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "Registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or lock file",
    },
    raw: { type: "boolean", description: "Print the exact bytes of the manifest, index or lock" },
    tensors: {
      type: "boolean",
      description: "List the tensors of the weights: name, type, shape and bytes",
    },
  },
  async run({ src, raw, tensors }, context) {
    if (raw && tensors) {
      throw new OcibundleError("usage", "--raw and --tensors cannot be used together", {
        hint: "remove one of them",
      });
    }
    if (tensors) return { listed: await inspectTensors(context, src) };
    if (raw && context.flags.json) {
      throw new OcibundleError("usage", "--raw and --json cannot be used together", {
        hint: "use --raw for the stored bytes, or --json for a description",
      });
    }
    if (raw) return { bytes: await inspectRaw(context, src) };
    const found = await inspectSource(context, src);
    // Looked up only where details are wanted: it takes requests of its own.
    const listing =
      context.flags.verbose && !context.flags.json && found.type !== "lock"
        ? await listAllReferrers(context, src)
        : undefined;
    return { found, listing };
  },
  text(report, view) {
    if ("bytes" in report) return report.bytes;
    if ("listed" in report) return tensorsTree(report.listed, view);
    const { found, listing } = report;
    const tree = found.type === "lock" ? lockTree(found, view) : modelTree(found, view);
    return listing === undefined ? tree : tree + referrersLine(allReferrers(listing));
  },
  json: (report) =>
    "found" in report ? report.found : "listed" in report ? report.listed : report,
});
