import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { defineCommand } from "../../cli/command.ts";
import type { CommandContext } from "../../cli/context.ts";
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
    throw new OcibundleError("usage", "--auth and --auth-file can't be given together");
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
    const why = errno(cause) === "ENOENT" ? "does not exist" : "can't be read";
    throw new OcibundleError("file", `--auth-file: "${path}" ${why}`, { cause });
  }
  const text = Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
  if (/^[^:\n]+:[^\n]+$/.test(text)) return text;
  throw new OcibundleError("file", `--auth-file: "${path}" is not of the form USER:PASS`);
}

export const command = defineCommand({
  meta: {
    name: "registry-start",
    description: "Start a registry on 127.0.0.1 for the working folder, or find the one that runs",
    example: [
      'eval "$(ocibundle registry-start)"',
      "ocibundle registry-start --foreground --port 5000 --storage ./registry",
    ],
    hidden: true,
  },
  args: {
    foreground: { type: "boolean", description: "Run in this process until it is interrupted" },
    port: {
      type: "number",
      max: 65535,
      description: "The port to listen on; any free one unless given",
    },
    storage: {
      type: "string",
      valueHint: "DIR",
      description: "Keep content there; a temporary folder, removed at the end, unless given",
    },
    idleTimeout: {
      type: "duration",
      description:
        "End after so long without a request, 0 for never (default: 10m in the background)",
    },
    auth: { type: "string", valueHint: "USER:PASS", description: "Ask for this name and password" },
    authFile: {
      type: "string",
      valueHint: "FILE",
      description: "Read the name and password of --auth from a file, - for standard input",
    },
    tokenAuth: { type: "boolean", description: "Ask for tokens, which it gives itself at /token" },
    tokenLifetime: { type: "duration", description: "What a token lives (default: 5m)" },
    tls: {
      type: "boolean",
      description:
        "Speak https, with a certificate made on the spot: TEST_REGISTRY_CA names its CA",
    },
    readOnly: { type: "boolean", description: "Refuse everything that writes" },
    upstream: {
      type: "string",
      valueHint: "URL",
      description: "Pull through: fetch what is not there from this registry, and keep it",
    },
    like: {
      type: "enum",
      options: personalityNames,
      description: "Behave as that registry does where it differs from the specification",
    },
    scale: {
      type: "number",
      min: 1,
      max: 1_000_000,
      description: "Make the limits of --like so many times smaller",
    },
    fault: {
      type: "string",
      multiple: true,
      valueHint: "SPEC",
      description: "Make something go wrong, as status:503,method=PUT,times=2",
    },
  },
  async run({ foreground, port, storage, idleTimeout, authFile, ...ways }, context) {
    const auth = authFile === undefined ? ways.auth : await readAuth(authFile, ways.auth, context);
    const options = { port, storage, idleTimeout, serving: { ...ways, auth } };
    const show = (record: InstanceRecord): void => {
      const registry = `127.0.0.1:${record.port}`;
      const { pid, storage: folder, ca } = record;
      context.stdout(
        context.flags.json
          ? `${JSON.stringify({ registry, pid, storage: folder, ca }, null, 2)}\n`
          : `export TEST_REGISTRY=${registry}\n${ca === undefined ? "" : `export TEST_REGISTRY_CA=${quoted(ca)}\n`}`,
      );
    };
    if (foreground) await runInForeground(options, context, show);
    else show(await startInBackground(options, context));
  },
});
