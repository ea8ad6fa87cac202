import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { verifySource } from "../model/jobs/verify.ts";
import { verifyReport } from "../ui/verify-report.ts";

export const command = defineCommand({
  meta: {
    name: "verify",
    description: "Verify all content against its digests",
    example: [
      "ocibundle verify registry.example.com/acme/llama:v1 --dir /models/llama",
      "ocibundle verify weights.lock --dir /models/llama",
      "ocibundle verify oci:./model",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "Registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or lock file",
    },
    dir: {
      type: "string",
      valueHint: "DIR",
      description: "Directory to verify (default: verify the source itself)",
    },
    quick: {
      type: "boolean",
      description: "Check only existence and size",
    },
  },
  run: ({ src, ...options }, context) => verifySource(context, { source: src, ...options }),
  text: verifyReport,
  failure({ problems, checked, name }, { dir }) {
    if (problems.length === 0) return undefined;
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
          ? `pull into "${dir}" first, or run \`ocibundle lock --check\` to compare local files with a lock`
          : `pull it again${problems.some(({ kind }) => kind === "differs") ? " with --force" : ""}`;
    return new OcibundleError("integrity", `verify ${name}: ${found.join(", ")}`, {
      hint: wrong === 0 ? "remove the extra files" : again,
    });
  },
});
