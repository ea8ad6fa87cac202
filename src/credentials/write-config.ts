import { randomBytes } from "node:crypto";
import {
  type FileHandle,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errno, OcibundleError } from "../errors.ts";
import { createFile, privateMode } from "../runtime/own-file.ts";
import { type DockerConfig, parseDockerConfig } from "./docker-config.ts";
import { readConfig } from "./files.ts";
import { writingCode, writingReason } from "../runtime/file-faults.ts";

/** Locks a path against other runs of this program; undefined where nothing can be locked. */
export type LockPath = (path: string) => Promise<{ release(): void } | undefined>;

/** How often another program may change the file in the middle of ours. */
const maxTries = 50;
const maxLinks = 40;

/** Without a lock, a file that is younger may be another login's at this moment, in milliseconds. */
const unlockedAge = 60_000;
const unlockedPause = 50;

/**
 * Changes a config: `edit` is given what it says now and returns its new text, or undefined to leave it.
 * It is written beside the file, flushed and renamed, mode 0600 from its first byte, and has the owner that
 * the file had. Logins that run at once wait for each other; what another program writes meanwhile is not
 * lost. Resolves to whether it was changed. Throws `file`, `system`, and `conflict` where another program does not stop
 * writing it.
 */
export async function changeConfig(
  path: string,
  edit: (config: DockerConfig) => string | undefined,
  lock: LockPath,
): Promise<boolean> {
  try {
    const target = await followLinks(path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const held = await lock(`${target}.ocibundle-lock`);
    try {
      await removeLeftovers(target, held === undefined ? unlockedAge : 0);
      for (let tries = 0; tries < maxTries; tries++) {
        const config = await configAt(target);
        const text = edit(config);
        if (text === undefined) return false;
        if (!(await replace(target, text, config.text))) continue;
        if (held !== undefined) return true;
        // Without a lock another login may have read the file before this one and written it after.
        await sleep(unlockedPause * (1 + Math.random()));
        const now = await configAt(target);
        if ((edit(now) ?? now.text) === now.text) return true;
      }
      throw new OcibundleError("conflict", `"${path}" is being modified by another program`, {
        hint: "try again later",
      });
    } finally {
      held?.release();
    }
  } catch (cause) {
    if (cause instanceof OcibundleError || errno(cause) === undefined) throw cause;
    throw new OcibundleError(
      writingCode(cause),
      `"${path}" cannot be written: ${writingReason(cause)}`,
      { hint: "check the directory's permissions, or set DOCKER_CONFIG to another one", cause },
    );
  }
}

const configAt = async (path: string): Promise<DockerConfig> =>
  (await readConfig({ path, named: false })) ?? parseDockerConfig("", path);

/** What the path stands for, through symbolic links, whether or not it is there. Only a regular file is. */
async function followLinks(path: string): Promise<string> {
  let at = resolve(path);
  for (let count = 0; count < maxLinks; count++) {
    const stats = await lstat(at).catch((error: unknown) => {
      if (errno(error) === "ENOENT") return undefined;
      throw error;
    });
    if (stats === undefined || stats.isFile()) return at;
    if (!stats.isSymbolicLink()) {
      const kind = stats.isDirectory() ? "is a directory" : "is not a regular file";
      throw new OcibundleError("conflict", `"${path}" ${kind}`, {
        hint: "set DOCKER_CONFIG to a directory in which config.json can be written",
      });
    }
    at = resolve(dirname(at), await readlink(at));
  }
  throw new OcibundleError("file", `"${path}" is a broken symbolic link`, {
    hint: "remove the link, or create the file that it points to",
  });
}

const tempName = (target: string): string => `${target}.${randomBytes(6).toString("hex")}.tmp`;

/** Removes what a killed login left, if it is older than `age` in milliseconds: it holds a password. */
async function removeLeftovers(target: string, age: number): Promise<void> {
  const directory = dirname(target);
  const start = `${basename(target)}.`;
  for (const name of await readdir(directory)) {
    if (!name.startsWith(start) || !/^[0-9a-f]{12}\.tmp$/.test(name.slice(start.length))) continue;
    const path = join(directory, name);
    const stats = await lstat(path).catch(() => undefined);
    if (stats !== undefined && stats.mtimeMs <= Date.now() - age) await rm(path, { force: true });
  }
}

/** Writes the new text where the old one is still there; false when somebody else was quicker. */
async function replace(target: string, text: string, before: string): Promise<boolean> {
  const old = await stat(target).catch(() => undefined);
  const temporary = tempName(target);
  try {
    const file = await createFile(temporary, privateMode);
    try {
      await giveTo(file, old);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    if ((await configAt(target)).text !== before) return false;
    await rename(temporary, target);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The owner of the file that it takes the place of, so far as this user may give it away. */
async function giveTo(
  file: FileHandle,
  old: { uid: number; gid: number } | undefined,
): Promise<void> {
  if (old === undefined) return;
  const { uid, gid } = await file.stat();
  if (uid === old.uid && gid === old.gid) return;
  await file.chown(old.uid, old.gid).catch(() => undefined);
}
