import { commandTable } from "../../../src/cli/command.ts";
import type { AnyCommand, CommandTable } from "../../../src/cli/command.ts";
import { run } from "../../../src/cli/run.ts";

/** What a run wrote, and how it ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

interface Surroundings {
  env?: Record<string, string>;
  terminal?: boolean;
  signal?: AbortSignal;
}

export const tableOf = (...commands: AnyCommand[]): CommandTable =>
  commandTable(
    Object.fromEntries(commands.map((command) => [command.meta.name, async () => command])),
  );

/** Runs a command line with what it writes kept. */
export async function runWith(
  table: CommandTable,
  words: readonly string[],
  { env = {}, terminal = false, signal = new AbortController().signal }: Surroundings = {},
): Promise<Ended> {
  const written = { stdout: "", stderr: "" };
  const output = (name: keyof typeof written) => ({
    write(content: string | Uint8Array) {
      written[name] += typeof content === "string" ? content : new TextDecoder().decode(content);
    },
    isTerminal: terminal,
    size: () => ({ columns: 100, rows: 30 }),
  });
  const code = await run(
    words,
    {
      stdout: output("stdout"),
      stderr: output("stderr"),
      stdin: () => new ReadableStream(),
      env,
      cwd: "/",
      signal,
    },
    table,
  );
  return { code, ...written };
}
