import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { checkLock, type LockRequest, writeLock } from "../model/lock/lock.ts";
import { isDrift } from "../model/lock/lock-drift.ts";
import { driftReport, driftSummary, lockReport } from "../ui/lock-report.ts";

export const command = defineCommand({
  meta: {
    name: "lock",
    description: "Hash weight files and pin them in weights.lock",
    example: ["ocibundle lock ./weights --dest /src/weights", "ocibundle lock ./weights --check"],
  },
  args: {
    path: {
      type: "rest",
      description: "Files, and folders of them; what the project file lists when not given",
    },
    dest: {
      type: "string",
      valueHint: "DIR",
      description:
        "The folder in the container that the files go under; when not given, files that the lock has stay where they are, and new ones go under /src/weights",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      description: "The lock; weights.lock when not given",
    },
    compression: {
      type: "enum",
      options: ["auto", "none", "gzip", "zstd"],
      description:
        "How the files are stored; when not given, files that did not change stay as they are, and new ones get auto",
    },
    include: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Take only files that match, as in .gitignore",
    },
    exclude: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Leave out files that match, as in .gitignore",
    },
    allowIncomplete: {
      type: "boolean",
      description: "Lock Git LFS pointers and files that are shorter than their headers say",
    },
    check: {
      type: "boolean",
      description: "Write nothing, and fail with a list of what differs from the lock",
    },
  },
  async run({ path, check, ...rest }, context) {
    const request = { paths: path, ...rest };
    const { json } = context.flags;
    if (!check) {
      const report = await writeLock(context, request);
      context.stdout(json ? `${JSON.stringify(report, null, 2)}\n` : lockReport(report));
      return;
    }
    const drift = await checkLock(context, request);
    context.stdout(json ? `${JSON.stringify(drift, null, 2)}\n` : driftReport(drift));
    const lock = request.output ?? "weights.lock";
    if (!isDrift(drift)) {
      if (!context.flags.quiet) context.stderr(`${lock} matches the files\n`);
      return;
    }
    throw new OcibundleError(
      "integrity",
      `"${lock}" does not match the files: ${driftSummary(drift)}`,
      { hint: `run \`${lockLine(request)}\` to bring it up to date` },
    );
  },
});

/** The command line that writes the lock which was checked, to be typed into a shell. */
const lockLine = ({ paths, dest, output, compression, include, exclude }: LockRequest): string =>
  [
    "ocibundle lock",
    ...paths.map(shellWord),
    ...(dest === undefined ? [] : ["--dest", shellWord(dest)]),
    ...(output === undefined ? [] : ["-o", shellWord(output)]),
    ...(compression === undefined ? [] : ["--compression", compression]),
    ...(include ?? []).flatMap((pattern) => ["--include", shellWord(pattern)]),
    ...(exclude ?? []).flatMap((pattern) => ["--exclude", shellWord(pattern)]),
  ].join(" ");

const shellWord = (text: string): string =>
  /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
