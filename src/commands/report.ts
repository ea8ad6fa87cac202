import { defineCommand } from "../cli/command.ts";
import { reportFailure, reportModels, writeReport } from "../model/jobs/report.ts";
import { reportPage } from "../ui/html/report-page.ts";
import { reportSummary } from "../ui/report-summary.ts";

/**
 * Writes one HTML file (`-` for standard output) and reports what is in it. Fails after that where a tag could not be
 * read.
 */
export const command = defineCommand({
  meta: {
    name: "report",
    description: "Write an HTML report on the storage that versions of a model use and share",
    example: [
      "ocibundle report registry.example.com/acme/llama -o report.html",
      "ocibundle report registry.example.com/acme/llama:v1 registry.example.com/acme/llama:v2",
    ],
  },
  args: {
    model: {
      type: "rest",
      required: true,
      description: "Repositories (all tags), references, layouts or archives",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      default: "report.html",
      description: "File to write, or - for standard output",
    },
    match: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Include only tags that match this pattern",
    },
    last: {
      type: "number",
      valueHint: "N",
      min: 1,
      max: 200,
      default: 20,
      description: "Include only the N newest tags of each repository",
    },
  },
  async run({ model, output, match, last }, context) {
    const report = await reportModels(context, { models: model, match, last });
    if (output !== "-") await writeReport(context, output, reportPage(report));
    return { output, ...report };
  },
  text: (report) => (report.output === "-" ? reportPage(report) : reportSummary(report)),
  failure: reportFailure,
});
