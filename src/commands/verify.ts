import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { firstGiven } from "../model/jobs/first-given.ts";
import { hubModelDirectory } from "../model/pull/hub-model-directory.ts";
import { verifyHubCache } from "../model/jobs/verify-hub-cache.ts";
import { verifySource } from "../model/jobs/verify.ts";
import { verifyModelSignature } from "../model/jobs/verify-model-signature.ts";
import { signatureFailure, verifySignature } from "../model/jobs/verify-signature.ts";
import type { SignatureReport } from "../report/signatures.ts";
import type { VerifyReport } from "../report/verify.ts";
import { signatureReport } from "../ui/signature-report.ts";
import type { View } from "../ui/view.ts";
import { countProblems, verifyReport } from "../ui/verify-report.ts";
import { givenSignerFlag, signerArgs, signerOf } from "./signer-args.ts";

type Report = VerifyReport | SignatureReport;

interface Verified {
  report: Report;
  /** The directory that was read, as it was named. */
  shownDir?: string | undefined;
}

const isOfSignatures = (report: Report): report is SignatureReport => "signatures" in report;

/**
 * Verifies content, or with `--signature` or `--model-signature` a signature. What is wrong is reported, then fails
 * with `integrity`.
 */
export const command = defineCommand({
  meta: {
    name: "verify",
    description: "Verify all content against its digests; with --signature, verify the signature",
    example: [
      "ocibundle verify registry.example.com/acme/llama:v1 --dir /models/llama",
      "ocibundle verify weights.lock --dir /models/llama --only '*.safetensors'",
      "ocibundle verify oci:./model",
      "ocibundle verify registry.example.com/acme/llama:v1 --hf-cache acme/llama",
      "ocibundle verify registry.example.com/acme/llama:v1 --signature --key cosign.pub",
      "ocibundle verify ./models/src/weights --model-signature model.sig --key key.pub",
    ],
  },
  args: {
    src: {
      type: "positional",
      description:
        "Registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG], lock file, or directory with --model-signature",
    },
    dir: {
      type: "string",
      valueHint: "DIR",
      description:
        "Directory to verify (default: verify the source itself); with --hf-cache, the Hugging Face cache",
    },
    only: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description:
        "With --dir or --hf-cache: verify only files whose name or path matches this pattern",
    },
    hfCache: {
      type: "string",
      valueHint: "ORG/MODEL",
      description: "Verify the snapshot of this model in the Hugging Face cache",
    },
    quick: {
      type: "boolean",
      description: "Check only existence and size",
    },
    signature: {
      type: "boolean",
      description: "Verify the signature of the manifest instead of the content",
    },
    modelSignature: {
      type: "string",
      valueHint: "FILE",
      description: "Verify the files of a directory against this OpenSSF model signature",
    },
    ...signerArgs,
  },
  async run(
    { src, dir, only, hfCache, quick, signature, modelSignature, ...signer },
    context,
  ): Promise<Verified> {
    const mode = signature ? "--signature" : "--model-signature";
    if (!signature && modelSignature === undefined) {
      const alone = givenSignerFlag(signer);
      if (alone === undefined) {
        const request = { source: src, dir, only, quick };
        if (hfCache === undefined) {
          return { report: await verifySource(context, request), shownDir: dir };
        }
        const report = await verifyHubCache(context, { ...request, hubId: hfCache });
        return { report, shownDir: hubModelDirectory(hfCache, dir, context) };
      }
      throw new OcibundleError("usage", `${alone} needs --signature`, {
        hint: "add --signature, or --model-signature for a directory",
      });
    }
    const other = firstGiven({
      "--dir": dir,
      "--only": only,
      "--hf-cache": hfCache,
      "--quick": quick,
      "--model-signature": signature ? modelSignature : undefined,
    });
    if (other !== undefined) {
      throw new OcibundleError("usage", `${mode} and ${other} cannot be used together`, {
        hint: signature
          ? "verify the signature first, then the content by the digest that was signed"
          : "specify the directory alone: its files are read",
      });
    }
    if (modelSignature !== undefined) {
      const request = { dir: src, signature: modelSignature, signer: signerOf(signer) };
      return { report: await verifyModelSignature(context, request), shownDir: src };
    }
    const settings = signerOf(signer);
    const signers = settings === undefined ? [] : [settings];
    return { report: await verifySignature(context, { source: src, signers }) };
  },
  text: ({ report, shownDir }: Verified, view: View) =>
    isOfSignatures(report)
      ? signatureReport(report, view)
      : verifyReport({ ...report, shownDir }, view),
  json: ({ report }) => report,
  failure({ report }: Verified, { dir, hfCache, modelSignature }) {
    if (isOfSignatures(report)) return signatureFailure(report);
    const { problems, name } = report;
    if (problems.length === 0) return undefined;
    if (problems.every(({ kind }) => kind === "uncompared")) {
      return new OcibundleError("file", `verify ${name}: ${countProblems(problems)}`, {
        hint: "everything else is verified; verify these with the program that wrote them",
      });
    }
    const extra = problems.filter(({ kind }) => kind === "extra").length;
    const wrong = problems.length - extra;
    return new OcibundleError("integrity", `verify ${name}: ${countProblems(problems)}`, {
      hint:
        wrong === 0 ? "remove the extra files" : wayOut(report, { dir, hfCache, modelSignature }),
    });
  },
});

/** What to do about files or objects that are wrong. */
function wayOut(
  { problems, checked, name }: VerifyReport,
  where: {
    dir?: string | undefined;
    hfCache?: string | undefined;
    modelSignature?: string | undefined;
  },
): string {
  const { dir, hfCache, modelSignature } = where;
  const count = (wanted: string): number => problems.filter(({ kind }) => kind === wanted).length;
  const isMissing = count("missing") === checked.items;
  if (modelSignature !== undefined) {
    return "pull the model again, or use the signature of these files";
  }
  if (hfCache !== undefined) {
    const into = dir === undefined ? "" : ` -o "${dir}"`;
    return `run \`ocibundle pull ${name} --hf-cache ${hfCache}${into}${isMissing ? "" : " --force"}\``;
  }
  if (dir === undefined) return "push or copy it again";
  return isMissing
    ? `pull into "${dir}" first, or run \`ocibundle lock --check\` to compare local files with a lock`
    : `pull it again${count("differs") > 0 ? " with --force" : ""}`;
}
