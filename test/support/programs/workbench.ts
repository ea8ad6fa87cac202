import { afterAll } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../../../scripts/program.ts";

interface RunOptions {
  cwd?: string;
  /** In addition to an environment without any of this machine's settings. */
  env?: Record<string, string>;
}

/** What the tests of one file work with: a directory, and services that are started when first asked for. */
export interface Workbench {
  /** A new directory below the workbench's own. */
  makeDirectory(name: string): Promise<string>;
  /** Starts a service once, for whoever asks first, in a directory of its own; it ends with the tests. */
  shared<T extends { stop(): Promise<void> }>(
    start: (directory: string) => Promise<T>,
  ): () => Promise<T>;
  /** Runs a program and resolves to its standard output. Throws with what it said unless it exits with 0. */
  run(command: readonly string[], options?: RunOptions): Promise<string>;
  /** The same for ocibundle. */
  ocibundle(args: readonly string[], options?: RunOptions): Promise<string>;
}

/** Sets up a workbench that is cleared after the tests of the file that asks. */
export function workbench(): Workbench {
  const root = mkdtemp(join(tmpdir(), "ocibundle-interop-"));
  const services: (() => Promise<void>)[] = [];

  afterAll(async () => {
    for (const stop of services.toReversed()) await stop();
    await rm(await root, { recursive: true, force: true });
  });

  const makeDirectory = async (name: string): Promise<string> =>
    await mkdtemp(join(await root, `${name}-`));

  /** Nothing of this machine's settings, and nothing left in its cache. */
  const ownEnv = async (): Promise<Record<string, string>> => ({
    PATH: process.env["PATH"] ?? "",
    HOME: await root,
    XDG_CACHE_HOME: join(await root, "cache"),
  });

  const run: Workbench["run"] = async (command, { cwd, env = {} } = {}) => {
    const child = Bun.spawn([...command], {
      cwd: cwd ?? (await root),
      env: { ...(await ownEnv()), ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  };

  return {
    makeDirectory,
    run,
    shared: (start) => {
      let started: ReturnType<typeof start> | undefined;
      return () => {
        started ??= makeDirectory("service")
          .then(start)
          .then((service) => {
            services.push(() => service.stop());
            return service;
          });
        return started;
      };
    },
    ocibundle: (args, options) => run([...program(), ...args], options),
  };
}
