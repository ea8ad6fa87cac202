import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { defineCommand, type ReportFormat } from "../../cli/command.ts";
import type { CommandContext } from "../../cli/context.ts";
import { printReport } from "../../cli/print-report.ts";
import { errno, OcibundleError } from "../../errors.ts";
import type { InstanceRecord } from "../registry/instance/record.ts";
import { personalityNames } from "../misbehave/personalities/personality.ts";
import { runInForeground, startInBackground } from "../registry/instance/start.ts";

/** As one word of a shell. */
const quoted = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

const maxAuthBytes = 4096;

/** What `--auth-file` holds, without the end of its line: `--auth` itself is seen in the list of processes. */
async function readAuth(
  path: string,
  auth: string | undefined,
  { cwd, stdin, signal }: CommandContext,
): Promise<string> {
  if (auth !== undefined) {
    throw new OcibundleError("usage", "--auth and --auth-file cannot be used together", {
      hint: "remove one of them",
    });
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  const source = path === "-" ? stdin() : createReadStream(resolve(cwd, path), { signal });
  try {
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > maxAuthBytes) break;
    }
  } catch (cause) {
    signal.throwIfAborted();
    const why = errno(cause) === "ENOENT" ? "does not exist" : "cannot be read";
    throw new OcibundleError("file", `--auth-file: "${path}" ${why}`, { cause });
  }
  const text = Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
  if (/^[^:\n]+:[^\n]+$/.test(text)) return text;
  throw new OcibundleError("file", `--auth-file: "${path}" is not of the form USER:PASS`, {
    hint: "write one line to it, such as me:secret",
  });
}

const addressOf = ({ port }: InstanceRecord): string => `127.0.0.1:${port}`;

const format: ReportFormat<InstanceRecord> = {
  text: (record) =>
    `export TEST_REGISTRY=${addressOf(record)}\n${record.ca === undefined ? "" : `export TEST_REGISTRY_CA=${quoted(record.ca)}\n`}`,
  json: (record) => ({
    registry: addressOf(record),
    pid: record.pid,
    storage: record.storage,
    ca: record.ca,
  }),
};

/**
 * Prints `export TEST_REGISTRY=…` for a shell to evaluate, once the registry listens; with `--foreground` it serves
 * until it is told to end.
 */
export const command = defineCommand({
  meta: {
    name: "registry-start",
    description: "Start a test registry for the working directory, or find the running one",
    example: [
      'eval "$(ocibundle registry-start)"',
      "ocibundle registry-start --foreground --port 5000 --storage ./registry",
    ],
    hidden: true,
  },
  args: {
    foreground: { type: "boolean", description: "Run in the foreground until interrupted" },
    port: {
      type: "number",
      max: 65535,
      description: "Port to listen on (default: any free port)",
    },
    storage: {
      type: "string",
      valueHint: "DIR",
      description: "Directory to store content in (default: a temporary directory)",
    },
    idleTimeout: {
      type: "duration",
      description: "Shut down after this idle time; 0 means never (default: 10m in background)",
    },
    auth: {
      type: "string",
      valueHint: "USER:PASS",
      description: "Require this username and password",
    },
    authFile: {
      type: "string",
      valueHint: "FILE",
      description: "Read the credentials of --auth from this file; - is standard input",
    },
    tokenAuth: { type: "boolean", description: "Require bearer tokens, issued at /token" },
    tokenLifetime: { type: "duration", description: "Lifetime of a token (default: 5m)" },
    tls: {
      type: "boolean",
      description: "Serve HTTPS with a generated certificate; TEST_REGISTRY_CA names its CA file",
    },
    readOnly: { type: "boolean", description: "Reject all writes" },
    upstream: {
      type: "string",
      valueHint: "URL",
      description: "Act as a pull-through cache of this registry",
    },
    like: {
      type: "enum",
      options: personalityNames,
      description: "Imitate this registry where it deviates from the specification",
    },
    scale: {
      type: "number",
      min: 1,
      max: 1_000_000,
      description: "Divide the limits of --like by this number",
    },
    fault: {
      type: "string",
      multiple: true,
      valueHint: "SPEC",
      description: "Inject a fault, such as status:503,method=PUT,times=2",
    },
  },
  async run({ foreground, port, storage, idleTimeout, authFile, ...ways }, context) {
    const auth = authFile === undefined ? ways.auth : await readAuth(authFile, ways.auth, context);
    const options = { port, storage, idleTimeout, serving: { ...ways, auth } };
    if (!foreground) return startInBackground(options, context);
    await runInForeground(options, context, (record) => {
      printReport(format, record, context);
    });
    return undefined;
  },
  ...format,
});
