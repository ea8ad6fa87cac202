import { on } from "node:events";
import { openSync } from "node:fs";
import { ReadStream } from "node:tty";
import { OcibundleError } from "../errors.ts";

/** An answer longer than this is none, in characters. */
const maxAnswer = 64 * 1024;

const keys = {
  interrupt: "\u0003",
  endOfInput: "\u0004",
  eraseLine: "\u0015",
  backspace: "\b",
  delete: "\u007F",
} as const;

/** How questions are shown. */
export interface PromptOptions {
  /** What to do where nobody can be asked or nothing was answered, for the error. */
  hint: string;
  /** Shows text at the terminal. */
  write: (text: string) => void;
  /** Ends a question that nobody answers. */
  signal: AbortSignal;
}

/** Whoever sits at the terminal. Close it when all is asked. */
export interface Prompt {
  /** Asks for a line; without `echo` nothing of it is shown. Throws `interrupted` at ^C. */
  ask(text: string, options: { echo: boolean }): Promise<string>;
  close(): void;
}

/** Opens the terminal, whatever standard input is. Throws `usage` where there is none; asking, also `interrupted`. */
export function openPrompt({ hint, write, signal }: PromptOptions): Prompt {
  const terminal = openTerminal(hint);
  const typed = keysOf(terminal, signal);
  // Raw, so that the terminal shows nothing by itself; ^C arrives as a character then.
  terminal.setRawMode(true);

  async function readLine(echo: boolean): Promise<string> {
    const answer: string[] = [];
    for (;;) {
      const next = await typed.next();
      const key = next.done === true ? "\r" : next.value;
      if (key === "\r" || key === "\n") return answer.join("");
      if (key === keys.endOfInput && answer.length === 0) {
        throw new OcibundleError("usage", "no input was given", { hint });
      }
      if (key === keys.interrupt) throw new OcibundleError("interrupted", "interrupted");
      if (key === keys.eraseLine) {
        if (echo) write("\b \b".repeat(answer.length));
        answer.length = 0;
      } else if (key === keys.backspace || key === keys.delete) {
        if (answer.pop() !== undefined && echo) write("\b \b");
      } else if (key >= " " && answer.length < maxAnswer) {
        answer.push(key);
        if (echo) write(key);
      }
    }
  }

  return {
    async ask(text, { echo }) {
      write(text);
      try {
        return await readLine(echo);
      } finally {
        write("\r\n");
      }
    },
    close() {
      terminal.setRawMode(false);
      terminal.destroy();
    },
  };
}

/** What is typed, a character at a time, ahead of the questions too. */
async function* keysOf(terminal: ReadStream, signal: AbortSignal): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  try {
    for await (const [bytes] of on(terminal, "data", { signal, close: ["end"] })) {
      yield* decoder.decode(bytes as Buffer, { stream: true });
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

function openTerminal(hint: string): ReadStream {
  try {
    return new ReadStream(openSync("/dev/tty", "r+"));
  } catch (cause) {
    throw new OcibundleError("usage", "cannot prompt: no terminal is available", { hint, cause });
  }
}
