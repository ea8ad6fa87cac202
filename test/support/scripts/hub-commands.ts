import type { Dirent } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startHub } from "../sources/hub.ts";
import type { ScriptCommand } from "./state.ts";

const pathOf = ({ parentPath, name }: Dirent): string => join(parentPath, name);

/** Commands about models on a hub. */
export const hubCommands = {
  /** `hub-start DIR [SWITCHES]`: a hub with the files of DIR as acme/tiny; sets HF_ENDPOINT and HUB_COMMIT. */
  async "hub-start"({ args: [directory = "", switches = "{}"], state }) {
    const root = resolve(state.cwd, directory);
    const files: Record<string, Uint8Array> = {};
    const found = await readdir(root, { recursive: true, withFileTypes: true });
    // The same files have the same commit.
    for (const entry of found.toSorted((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1))) {
      if (!entry.isFile()) continue;
      const path = pathOf(entry);
      files[path.slice(root.length + 1)] = await readFile(path);
    }
    const hub = await startHub(files, JSON.parse(switches) as Parameters<typeof startHub>[1]);
    state.hubs.push(hub);
    Object.assign(state.env, { HF_ENDPOINT: hub.endpoint, HUB_COMMIT: hub.commit });
  },
} satisfies Record<string, ScriptCommand>;
