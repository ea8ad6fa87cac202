import { defineCommand } from "../cli/command.ts";
import { printReport } from "../cli/print-report.ts";
import { drainMilliseconds, type ServeReport, serveModels } from "../model/serve/serve.ts";

const format = {
  text: ({ endpoint }: ServeReport) => `HF_ENDPOINT=${endpoint}\n`,
};

/** Prints its `ServeReport` once it listens, and ends with the program that it runs and that program's exit code. */
export const command = defineCommand({
  meta: {
    name: "serve",
    description: "Serve models from a registry to Hugging Face Hub clients",
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
      description: "Serve a reference, oci:DIR or oci-archive:FILE under this model ID",
    },
    registry: {
      type: "string",
      valueHint: "HOST[/PREFIX]",
      description: "Serve all repositories below HOST[/PREFIX], each under its name",
    },
    tag: {
      type: "string",
      valueHint: "TAG",
      description: "Tag to serve as the revision main (default: latest)",
    },
    listen: {
      type: "string",
      valueHint: "ADDR:PORT",
      description: "Listen on this address (default: 127.0.0.1:8086); port 0 selects a free port",
    },
    tokenFile: {
      type: "string",
      valueHint: "FILE",
      description: "Require clients to send the token in this file",
    },
    anonymous: {
      type: "boolean",
      description: "Accept requests without a token on any address",
    },
    hostName: {
      type: "string",
      multiple: true,
      valueHint: "NAME",
      description: "Also accept requests for this host name",
    },
    refresh: {
      type: "duration",
      default: 30_000,
      description: "Look up a tag again after this time",
    },
    offline: {
      type: "boolean",
      description: "Serve only from the cache, without contacting the registry",
    },
    root: {
      type: "string",
      valueHint: "PATH",
      description: "Directory in the model to serve as its root",
    },
    cache: {
      type: "boolean",
      default: true,
      description: "Use the local cache",
    },
    list: { type: "boolean", description: "Let clients list the models of --map" },
    command: {
      type: "rest",
      description: "Run this program with HF_ENDPOINT set, and exit when it exits",
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
