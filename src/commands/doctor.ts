import { defineCommand } from "../cli/command.ts";
import { redact } from "../cli/redact.ts";
import { OcibundleError } from "../errors.ts";
import { examineRegistry } from "../model/doctor/doctor.ts";
import { doctorReport } from "../ui/doctor-report.ts";

const defaultSize = 32 * 1024 * 1024;

/** Reports a `DoctorReport`. What the registry cannot do is a finding, not a failure. */
export const command = defineCommand({
  meta: {
    name: "doctor",
    description: "Test which features a registry supports and how fast it is",
    example: [
      "ocibundle doctor registry.example.com/acme/llama",
      "ocibundle doctor ghcr.io/acme/llama --size 256MiB --json",
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "Repository to test in; test content is deleted if the registry allows it",
    },
    size: {
      type: "size",
      valueHint: "SIZE",
      default: defaultSize,
      description: "Amount of data per test",
    },
  },
  async run({ ref, size }, context) {
    if (size === 0) {
      throw new OcibundleError("usage", "--size must be greater than 0", {
        hint: "use a size such as --size 64MiB",
      });
    }
    const found = await examineRegistry(context, { reference: ref, size });
    // The reasons are a stranger's words, and standard output is not watched for secrets.
    const checks = found.checks.map((finding) =>
      finding.reason === undefined ? finding : { ...finding, reason: redact(finding.reason) },
    );
    return { ...found, checks };
  },
  text: doctorReport,
});
