import { resolve } from "node:path";
import { lastRun, matchPattern, text } from "./output.ts";
import type {
  BackgroundProcess,
  CommandCall,
  Expectation,
  ScriptCommand,
  ScriptState,
} from "./state.ts";

/** A program that runs longer hangs. In milliseconds. */
const longest = (): number => Number(process.env["OCIBUNDLE_COMMAND_SECONDS"] ?? 120) * 1000;
/** What of an output a failure shows. */
const shownCharacters = 4000;

/** The hidden commands of ocibundle that are words of the language themselves. */
const harnessCommands = [
  "mock-weights",
  "registry-start",
  "registry-stop",
  "registry-inspect",
  "docker-push",
] as const;

const ocibundle: ScriptCommand = (call) => exec({ ...call, args: ["ocibundle", ...call.args] });

/** Commands that run programs and look at what they said. */
export const processCommands = {
  exec,
  ocibundle,
  ...Object.fromEntries(harnessCommands.map((name) => [name, harness(name)])),
  stdin({ args: [file = ""], state }) {
    state.stdin = resolve(state.cwd, file);
  },
  stdout: (call) => {
    match(call, "stdout");
  },
  stderr: (call) => {
    match(call, "stderr");
  },
  exit({ args: [wanted], state }) {
    const { code } = lastRun(state);
    if (String(code) !== wanted) throw new Error(`the exit code was ${code}, not ${wanted}`);
  },
  async wait({ args: [name], state }) {
    const chosen = chooseBackground(state, name);
    state.background = state.background.filter((entry) => !chosen.includes(entry));
    for (const entry of chosen) await finish(entry, state);
  },
  kill({ args, state }) {
    const signal = args[0]?.startsWith("-") ? args.shift()?.slice(1) : "KILL";
    const name = signal?.startsWith("SIG") ? signal : `SIG${signal}`;
    for (const entry of chooseBackground(state, args[0])) {
      entry.process.kill(name as NodeJS.Signals);
    }
  },
} satisfies Record<string, ScriptCommand>;

function harness(name: (typeof harnessCommands)[number]): ScriptCommand {
  return async (call) => {
    const { state } = call;
    if (name === "registry-start") state.registries.add(state.cwd);
    await ocibundle({ ...call, args: [name, ...call.args] });
    if (name !== "registry-start" || state.last === undefined) return;
    // What a shell would do with `eval`.
    for (const [, key = "", value = ""] of text(state.last.stdout).matchAll(
      /^export (\w+)=(.*)$/gm,
    )) {
      state.env[key] = value;
    }
  };
}

async function exec({ args, expects, state }: CommandCall): Promise<void> {
  const words = [...args];
  const ending = /^&(?:(\w+)&)?$/.exec(words.at(-1) ?? "");
  if (ending !== null) words.pop();
  const entry = start(words, expects, ending?.[1], state);
  if (ending === null) await finish(entry, state);
  else state.background.push(entry);
}

function start(
  words: readonly string[],
  expects: Expectation,
  name: string | undefined,
  state: ScriptState,
): BackgroundProcess {
  const [file = "", ...args] = words;
  const path = file.includes("/")
    ? resolve(state.cwd, file)
    : Bun.which(file, { PATH: state.env["PATH"] ?? "" });
  if (path === null) throw new Error(`there is no program "${file}"`);
  const running = Bun.spawn([path, ...args], {
    cwd: state.cwd,
    env: state.env,
    stdin: state.stdin === undefined ? "ignore" : Bun.file(state.stdin),
    stdout: "pipe",
    stderr: "pipe",
    timeout: longest(),
    killSignal: "SIGKILL",
  });
  state.stdin = undefined;
  return {
    name,
    process: running,
    stdout: new Response(running.stdout).bytes(),
    stderr: new Response(running.stderr).bytes(),
    expects,
  };
}

async function finish(entry: BackgroundProcess, state: ScriptState): Promise<void> {
  const [code, stdout, stderr] = await Promise.all([
    entry.process.exited,
    entry.stdout,
    entry.stderr,
  ]);
  state.last = { code, stdout, stderr };
  log(state, "stdout", stdout);
  log(state, "stderr", stderr);
  if (code !== 0) state.log.push(`[exit code ${code}]`);
  if (entry.expects === "success" && code !== 0) throw new Error(`the exit code was ${code}`);
  if (entry.expects === "failure" && code === 0) throw new Error("it did not fail");
  // A crash and a bug are never the failure that a script expects.
  if (entry.expects === "failure" && code === 1 && text(stderr).includes("this is a bug")) {
    throw new Error("it failed by a bug");
  }
}

function log(state: ScriptState, name: string, bytes: Uint8Array): void {
  if (bytes.length > 0)
    state.log.push(`[${name}]\n${text(bytes).slice(-shownCharacters).trimEnd()}`);
}

function chooseBackground(state: ScriptState, name: string | undefined): BackgroundProcess[] {
  const chosen = state.background.filter((entry) => name === undefined || entry.name === name);
  if (chosen.length === 0) throw new Error("no such program runs in the background");
  return chosen;
}

function match({ args, expects, state }: CommandCall, stream: "stdout" | "stderr"): void {
  matchPattern(args, expects, text(lastRun(state)[stream]));
}
