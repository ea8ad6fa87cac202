import { existsSync } from "node:fs";
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { smallModel, writeTensors } from "../tensors/tensor-file.ts";
import { expandText } from "./language.ts";
import { lastRun, matchPattern, text } from "./output.ts";
import type { CommandCall, ScriptCommand, ScriptState } from "./state.ts";

/** Commands about files; paths are relative to the script's directory. */
export const fileCommands = {
  cd({ args: [directory = ""], state }) {
    const path = resolve(state.cwd, directory);
    if (!existsSync(path)) throw new Error(`there is no directory ${path}`);
    state.cwd = path;
  },
  async mkdir({ args, state }) {
    for (const path of args) await mkdir(resolve(state.cwd, path), { recursive: true });
  },
  async rm({ args, state }) {
    for (const path of args) await rm(resolve(state.cwd, path), { recursive: true, force: true });
  },
  async mv({ args: [from = "", to = ""], state }) {
    await rename(resolve(state.cwd, from), resolve(state.cwd, to));
  },
  /** `tensors FILE [CHANGED...]`: a small model in parts, in which these tensors have other bytes. */
  tensors({ args: [path = "", ...changed], state }) {
    writeTensors(resolve(state.cwd, path), smallModel(), { changed });
  },
  /** `bf16 FILE`: a model in bf16 whose tensors are parts of their own. */
  bf16({ args: [path = ""], state }) {
    const tensors = Array.from(
      { length: 9 },
      (_, at) => [`t${at}.weight`, 8 * 1024 * 1024] as const,
    );
    writeTensors(resolve(state.cwd, path), tensors, { bf16: true });
  },
  async chmod({ args: [mode = "", ...paths], state }) {
    for (const path of paths) await chmod(resolve(state.cwd, path), Number.parseInt(mode, 8));
  },
  /** `symlink NAME -> TARGET` */
  async symlink({ args: [name = "", , target = ""], state }) {
    await symlink(target, resolve(state.cwd, name));
  },
  /** `cp SRC... DST`, where a source may be stdout or stderr. */
  async cp({ args, state }) {
    const target = resolve(state.cwd, args.at(-1) ?? "");
    const isDirectory = existsSync(target) && (await stat(target)).isDirectory();
    for (const source of args.slice(0, -1)) {
      const to = isDirectory ? join(target, basename(source)) : target;
      if (source === "stdout" || source === "stderr") await writeFile(to, lastRun(state)[source]);
      else await copyFile(resolve(state.cwd, source), to);
    }
  },
  exists({ args, expects, state }) {
    for (const path of args) {
      const there = existsSync(resolve(state.cwd, path));
      if (expects === "success" && !there) throw new Error(`${path} does not exist`);
      if (expects === "failure" && there) throw new Error(`${path} exists`);
    }
  },
  /** `cmp A B`, where A may be stdout or stderr. */
  cmp: (call) => compare(call, (content) => content),
  /** `cmp` with the environment's values put into B. */
  cmpenv: (call) =>
    compare(call, (content) => new TextEncoder().encode(expandText(text(content), call.state.env))),
  async grep({ args, expects, state }) {
    const content = await read(args.at(-1) ?? "", state);
    matchPattern(args.slice(0, -1), expects, text(content));
  },
} satisfies Record<string, ScriptCommand>;

async function read(name: string, state: ScriptState): Promise<Uint8Array> {
  if (name === "stdout" || name === "stderr") return lastRun(state)[name];
  return readFile(resolve(state.cwd, name));
}

async function compare(
  { args: [first = "", second = ""], expects, state }: CommandCall,
  change: (content: Uint8Array) => Uint8Array,
): Promise<void> {
  const [a, b] = await Promise.all([read(first, state), read(second, state)]);
  const wanted = change(b);
  const same = Buffer.compare(a, wanted) === 0;
  if (expects === "failure" && same) throw new Error(`${first} and ${second} are the same`);
  if (expects === "success" && !same) {
    throw new Error(
      `${first} and ${second} differ:\n--- ${first}\n${text(a)}\n--- ${second}\n${text(wanted)}`,
    );
  }
}
