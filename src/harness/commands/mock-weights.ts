import { defineCommand } from "../../cli/command.ts";
import { mockWeights } from "../mock-weights.ts";
import { mockReport } from "../../ui/lock-report.ts";

const mebibyte = 1024 * 1024;

/** Writes weight files of random bytes and their lock; see `mockWeights`. */
export const command = defineCommand({
  meta: {
    name: "mock-weights",
    description: "Write random weight files and their weights.lock for tests",
    example: "ocibundle mock-weights --count 3 --min-size 1MiB --max-size 2MiB --seed 1",
    hidden: true,
  },
  args: {
    count: {
      type: "number",
      alias: "n",
      min: 1,
      max: 100_000,
      default: 3,
      description: "Number of files",
    },
    minSize: {
      type: "size",
      default: 25 * mebibyte,
      description: "Smallest file size, such as 25MiB, 1.5gb or 4096 (units are 1024-based)",
    },
    maxSize: { type: "size", default: 50 * mebibyte, description: "Largest file size" },
    outputDir: {
      type: "string",
      valueHint: "DIR",
      default: "weights",
      description: "Directory to write the files to",
    },
    destPrefix: {
      type: "string",
      valueHint: "PREFIX",
      default: "/cache/",
      description: "Directory in the container to place the files in",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      default: "weights.lock",
      description: "Lock file to write",
    },
    seed: {
      type: "number",
      max: Number.MAX_SAFE_INTEGER,
      description: "Seed of the random content",
    },
    compression: {
      type: "enum",
      options: ["none", "auto", "gzip", "zstd"],
      default: "none",
      description: "Compression of the stored files",
    },
  },
  run: (args, context) => mockWeights(context, args),
  text: mockReport,
});
