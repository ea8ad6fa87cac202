import { defineCommand } from "../cli/command.ts";
import { printReport } from "../cli/print-report.ts";
import { drainMilliseconds, type ServeReport, serveModels } from "../model/serve/serve.ts";

const format = {
  text: ({ endpoint }: ServeReport) => `HF_ENDPOINT=${endpoint}\n`,
};

export const command = defineCommand({
  meta: {
    name: "serve",
    description: "Serve models of a registry to clients of the Hugging Face Hub",
    example: [
      "ocibundle serve --map acme/llama=registry.example.com/acme/llama:v1",
      "ocibundle serve --registry registry.example.com/models -- vllm serve acme/llama",
    ],
    // What is being sent is finished first.
    grace: drainMilliseconds + 2000,
  },
  args: {
    map: {
      type: "string",
      multiple: true,
      valueHint: "ID=REF",
      description: "Serve this reference, oci:DIR or oci-archive:FILE as the model ID",
    },
    registry: {
      type: "string",
      valueHint: "HOST[/PREFIX]",
      description: "Serve the repositories below it, each as the model of its name",
    },
    tag: {
      type: "string",
      valueHint: "TAG",
      description: "The tag that the revision main stands for (default: latest)",
    },
    listen: {
      type: "string",
      valueHint: "ADDR:PORT",
      description: "Listen on this address (default: 127.0.0.1:8086); port 0 is any free one",
    },
    tokenFile: {
      type: "string",
      valueHint: "FILE",
      description: "Require the token in this file of clients",
    },
    anonymous: {
      type: "boolean",
      description: "Allow requests without a token on any address",
    },
    hostName: {
      type: "string",
      multiple: true,
      valueHint: "NAME",
      description: "Answer requests for this host name, too",
    },
    refresh: {
      type: "duration",
      default: 30_000,
      description: "Check a tag again after this time (default: 30s)",
    },
    offline: { type: "boolean", description: "Serve only what the cache has" },
    root: {
      type: "string",
      valueHint: "PATH",
      description: "The directory of the files that is the root of a model",
    },
    cache: {
      type: "boolean",
      default: true,
      description: "Use the local cache",
    },
    list: { type: "boolean", description: "List the models of --map to clients" },
    command: {
      type: "rest",
      description: "Run this program with HF_ENDPOINT set, and end with it",
    },
  },
  async run({ hostName, cache, refresh, ...args }, context): Promise<ServeReport | undefined> {
    const request = { ...args, hostNames: hostName, useCache: cache, refresh };
    const code = await serveModels(context, request, (report) => {
      // With a program, standard output is its own.
      if (args.command.length === 0) printReport(format, report, context);
    });
    if (code !== undefined) context.endWith(code);
    return undefined;
  },
  ...format,
});
