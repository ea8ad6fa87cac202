/**
 * Runs scripts against the program, as Go's testscript does. A *.txtar file here is a test: its comment is
 * the script, its files are written into $WORK first. docs/dev/testing.md describes the language.
 */
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { program as commandLine } from "../../../scripts/program.ts";
import { scriptCommands } from "./commands.ts";
import { holds } from "./conditions.ts";
import { expandWord, parseScript } from "./language.ts";
import { SkipScript, StopScript } from "./state.ts";
import type { ScriptState } from "./state.ts";
import { parseArchive } from "./txtar.ts";

/** The program under test: the binary that OCIBUNDLE_BINARY names, or the sources. */
export const program: readonly string[] = commandLine();

export type ScriptResult = { skipped: false } | { skipped: true; reason: string };

/** Runs one script in directories of its own. Rejects with what was run so far and the line that failed. */
export async function runScript(text: string): Promise<ScriptResult> {
  const { comment, files } = parseArchive(text);
  const base = await realpath(await mkdtemp(join(tmpdir(), "ocibundle-script-")));
  const state = await prepare(base);
  try {
    for (const { name, content } of files) {
      const path = resolve(state.cwd, name);
      if (!path.startsWith(`${state.cwd}/`)) throw new Error(`"${name}" is outside of $WORK`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content);
    }
    await runLines(comment, state);
    return { skipped: false };
  } catch (error) {
    if (error instanceof SkipScript) return { skipped: true, reason: error.message };
    throw error;
  } finally {
    await cleanUp(state);
    await rm(base, { recursive: true, force: true });
  }
}

/** Directories and an environment that share nothing with the user's. */
async function prepare(base: string): Promise<ScriptState> {
  const directory = async (name: string, mode = 0o755): Promise<string> => {
    await mkdir(join(base, name), { mode });
    return join(base, name);
  };
  const [work, home, cache, runtime, docker, temporary, bin] = await Promise.all([
    directory("work"),
    directory("home"),
    directory("cache"),
    directory("run", 0o700),
    directory("docker"),
    directory("tmp"),
    directory("bin"),
  ]);
  const quoted = program.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(" ");
  await writeFile(join(bin, "ocibundle"), `#!/bin/sh\nexec ${quoted} "$@"\n`);
  await chmod(join(bin, "ocibundle"), 0o755);
  return {
    cwd: work,
    env: {
      WORK: work,
      HOME: home,
      XDG_CACHE_HOME: cache,
      XDG_RUNTIME_DIR: runtime,
      DOCKER_CONFIG: docker,
      // No engine of this machine gets into a test by itself.
      DOCKER_HOST: process.env["DOCKER_HOST"] ?? `unix://${join(runtime, "no-engine.sock")}`,
      TMPDIR: temporary,
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      LANG: "C.UTF-8",
      TERM: "dumb",
    },
    program,
    stdin: undefined,
    last: undefined,
    background: [],
    registries: new Set(),
    hubs: [],
    log: [],
  };
}

async function runLines(script: string, state: ScriptState): Promise<void> {
  for (const line of parseScript(script)) {
    if (!line.conditions.every(({ name, wanted }) => holds(name, state) === wanted)) continue;
    state.log.push(`> ${line.text}`);
    const [name = "", ...args] = line.words.map((word) => expandWord(word, state.env));
    const command = scriptCommands[name];
    try {
      if (command === undefined) throw new Error(`there is no script command "${name}"`);
      await command({ args, expects: line.expects, state });
    } catch (error) {
      if (error instanceof StopScript) return;
      if (error instanceof SkipScript) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(
        `${state.log.join("\n")}\nFAIL line ${line.number}: ${line.text}\n${reason}`,
        { cause: error },
      );
    }
  }
}

/** Ends what the script started, whatever became of it. */
async function cleanUp(state: ScriptState): Promise<void> {
  for (const { process: running } of state.background) running.kill("SIGKILL");
  await Promise.all(state.background.map(({ process: running }) => running.exited));
  await Promise.all(state.hubs.map((hub) => hub.close()));
  for (const cwd of state.registries) {
    const [file = "", ...args] = program;
    const stop = Bun.spawn([file, ...args, "registry-stop"], {
      cwd,
      env: state.env,
      stdio: ["ignore", "ignore", "ignore"],
      timeout: 10_000,
      killSignal: "SIGKILL",
    });
    await stop.exited;
  }
}
