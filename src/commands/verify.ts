import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { verifySource } from "../model/jobs/verify.ts";
import { verifyReport } from "../ui/verify-report.ts";

export const command = defineCommand({
  meta: {
    name: "verify",
    description: "Hold every byte against its digest",
    example: [
      "ocibundle verify registry.example.com/acme/llama:v1 --dir /models/llama",
      "ocibundle verify weights.lock --dir /models/llama",
      "ocibundle verify oci:./model",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "A registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or a lock file",
    },
    dir: {
      type: "string",
      valueHint: "DIR",
      description: "The folder it was pulled into; without it the source is held against itself",
    },
    quick: {
      type: "boolean",
      description: "Only look whether everything is there with its size",
    },
  },
  async run({ src, dir, quick }, context) {
    const report = await verifySource(context, { source: src, dir, quick });
    context.stdout(
      context.flags.json ? `${JSON.stringify(report, null, 2)}\n` : verifyReport(report),
    );
    const { problems, checked, name } = report;
    if (problems.length === 0) return;
    const extra = problems.filter(({ kind }) => kind === "extra").length;
    const wrong = problems.length - extra;
    const found = [
      ...(wrong === 0 ? [] : [`${wrong} of ${checked.items} do not match`]),
      ...(extra === 0 ? [] : [`${extra} extra`]),
    ];
    const isMissing = problems.filter(({ kind }) => kind === "missing").length === checked.items;
    const again =
      dir === undefined
        ? "push or copy it again"
        : isMissing
          ? `pull it there first: files are looked for at their dest below "${dir}"; \`lock --check\` compares what was locked`
          : `pull it again${problems.some(({ kind }) => kind === "differs") ? " with --force" : ""}`;
    throw new OcibundleError("integrity", `verify ${name}: ${found.join(", ")}`, {
      hint: wrong === 0 ? "remove what does not belong there" : again,
    });
  },
});
