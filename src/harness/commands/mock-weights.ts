import { defineCommand } from "../../cli/command.ts";
import { mockWeights } from "../mock-weights.ts";
import { mockReport } from "../../ui/lock-report.ts";

const mebibyte = 1024 * 1024;

export const command = defineCommand({
  meta: {
    name: "mock-weights",
    description: "Write random files to test with, and their weights.lock",
    example: "ocibundle mock-weights --count 3 --min-size 1mb --max-size 2mb --seed 1",
    hidden: true,
  },
  args: {
    count: {
      type: "number",
      alias: "n",
      min: 1,
      max: 100_000,
      default: 3,
      description: "How many files",
    },
    minSize: {
      type: "size",
      default: 25 * mebibyte,
      description: "Size of the smallest: 25mb, 1.5gb, or bytes",
    },
    maxSize: { type: "size", default: 50 * mebibyte, description: "Size of the largest" },
    outputDir: {
      type: "string",
      valueHint: "DIR",
      default: "weights",
      description: "Folder of the files",
    },
    destPrefix: {
      type: "string",
      valueHint: "PREFIX",
      default: "/cache/",
      description: "What their dests start with",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      default: "weights.lock",
      description: "The lock",
    },
    seed: {
      type: "number",
      max: Number.MAX_SAFE_INTEGER,
      description: "The same seed gives the same files",
    },
    compression: {
      type: "enum",
      options: ["none", "auto", "gzip", "zstd"],
      default: "none",
      description: "How the lock says that they are stored",
    },
  },
  async run(args, context) {
    const report = await mockWeights(context, args);
    context.stdout(
      context.flags.json ? `${JSON.stringify(report, null, 2)}\n` : mockReport(report),
    );
  },
});
