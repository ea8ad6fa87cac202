import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { checkLock, type LockRequest, writeLock } from "../model/lock/lock.ts";
import { standardOutput } from "../model/places/standard-output.ts";
import { isDrift } from "../model/lock/lock-drift.ts";
import { shownSource } from "../model/format/source-uri.ts";
import { driftReport, driftSummary, lockReport } from "../ui/lock-report.ts";
import { mostParts } from "./model-args.ts";

/** Reports a `LockReport`; with `--check` a `LockDrift`, and fails with `integrity` where there is some. */
export const command = defineCommand({
  meta: {
    name: "lock",
    description: "Hash weight files and record them in weights.lock",
    example: [
      "ocibundle lock ./weights --dest /src/weights",
      "ocibundle lock ./weights --check",
      "ocibundle lock hf://ORG/MODEL",
    ],
  },
  args: {
    path: {
      type: "rest",
      description:
        "Weight files, directories, hf://, s3:// or https:// sources (default: those in the project file)",
    },
    dest: {
      type: "string",
      valueHint: "DIR",
      description:
        "Directory in the container to place the files in (default: as recorded in the lock, /src/weights for new files)",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      description: "Lock file to write, or - for standard output (default: weights.lock)",
    },
    compression: {
      type: "enum",
      options: ["auto", "none", "gzip", "zstd"],
      description:
        "Compression of the stored files (default: as recorded for unchanged files, auto for others, none for parts)",
    },
    include: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Lock only files that match this .gitignore pattern",
    },
    exclude: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Exclude files that match this .gitignore pattern",
    },
    parts: {
      type: "boolean",
      description: "Split large files into parts, for push --layout parts",
    },
    mostParts,
    noParts: { type: "boolean", description: "Remove the parts from the lock" },
    allowIncomplete: {
      type: "boolean",
      description: "Accept Git LFS pointers and truncated files",
    },
    check: {
      type: "boolean",
      description: "Compare the files with the lock without writing it",
    },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Show what would be locked without writing the lock",
    },
  },
  async run({ path, check, noParts, parts, ...rest }, context) {
    if (parts && noParts) {
      throw new OcibundleError("usage", "--parts and --no-parts cannot be used together", {
        hint: "remove one of them",
      });
    }
    if (rest.output === standardOutput && (check || context.flags.json)) {
      throw new OcibundleError(
        "usage",
        `${check ? "--check" : "--json"} and -o - cannot be used together`,
        {
          hint: check
            ? 'specify the lock to compare with; for a file named "-", use -o ./-'
            : "remove --json: the lock is JSON itself",
        },
      );
    }
    const request = { paths: path, ...rest, parts: noParts ? false : parts || undefined };
    if (!check) return writeLock(context, request);
    const drift = await checkLock(context, request);
    if (!isDrift(drift) && !context.flags.quiet) {
      context.stderr(`${lockName(request)} matches the files\n`);
    }
    return drift;
  },
  text: (report) =>
    "missing" in report ? driftReport(report) : (report.document ?? lockReport(report)),
  failure(report, { path, ...rest }) {
    if (!("missing" in report) || !isDrift(report)) return undefined;
    const request = { paths: path, ...rest };
    return new OcibundleError(
      "integrity",
      `"${lockName(request)}" does not match the files: ${driftSummary(report)}`,
      { hint: `run \`${lockLine(request)}\` to update the lock` },
    );
  },
});

const lockName = ({ output = "weights.lock" }: LockRequest): string => output;

/** The command line that writes the lock which was checked, to be typed into a shell. */
const lockLine = ({ paths, dest, output, compression, include, exclude }: LockRequest): string =>
  [
    "ocibundle lock",
    ...paths.map((path) => shellWord(shownSource(path))),
    ...(dest === undefined ? [] : ["--dest", shellWord(dest)]),
    ...(output === undefined ? [] : ["-o", shellWord(output)]),
    ...(compression === undefined ? [] : ["--compression", compression]),
    ...(include ?? []).flatMap((pattern) => ["--include", shellWord(pattern)]),
    ...(exclude ?? []).flatMap((pattern) => ["--exclude", shellWord(pattern)]),
  ].join(" ");

const shellWord = (text: string): string =>
  /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
