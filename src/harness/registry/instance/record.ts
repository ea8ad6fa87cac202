import { createHash } from "node:crypto";
import { lstat, mkdir, realpath } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../../errors.ts";
import { readRecord } from "../../../store/cache/record-file.ts";
import { type Serving, servingArgs } from "../serving.ts";
import { readSmall, removed, replaceSmall } from "../storage/files.ts";

const RecordSchema = v.object({
  version: v.literal(1),
  /** What the process that is meant answers with: a pid and a port may be another's by now. */
  instance: v.string(),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
  storage: v.string(),
  /** Whether the storage goes when the registry does. */
  temporary: v.boolean(),
  /** The file with the certificate to trust, where it speaks TLS. */
  ca: v.optional(v.string()),
  /** Names the way it serves; nothing of it can be read out of this. */
  serving: v.optional(v.string()),
});

/** A registry that was started for a directory. */
export type InstanceRecord = v.InferOutput<typeof RecordSchema>;

const maxRecordBytes = 64 * 1024;

/** Where the one registry of a working directory is written down, and what belongs to that. */
export interface RecordPlace {
  path: string;
  lockPath: string;
  /** What the background process writes to standard error. */
  logPath: string;
  /** Where the certificate to trust is put. */
  caPath: string;
}

/**
 * The place for the working directory `cwd`, in a directory of this user's alone. Throws `system` when that
 * can't be made, or belongs to someone else.
 */
export async function recordPlace(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<RecordPlace> {
  const directory = join(
    env["XDG_RUNTIME_DIR"] || tmpdir(),
    `ocibundle-${process.getuid?.() ?? userInfo().username}`,
  );
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const found = await lstat(directory);
    // Anyone may make directories in the system's temporary one.
    const foreign = process.getuid !== undefined && found.uid !== process.getuid();
    if (!found.isDirectory() || foreign) throw new Error("it is not a directory of this user");
  } catch (cause) {
    throw new OcibundleError(
      "system",
      `cannot use "${directory}" for the state of test registries`,
      {
        hint: "set XDG_RUNTIME_DIR to a directory of your own",
        cause,
      },
    );
  }
  const name = createHash("sha256")
    .update(await realpath(cwd).catch(() => cwd))
    .digest("hex")
    .slice(0, 24);
  const base = join(directory, `registry-${name}`);
  return {
    path: `${base}.json`,
    lockPath: `${base}.lock`,
    logPath: `${base}.log`,
    caPath: `${base}-ca.pem`,
  };
}

/** Names a way of serving: the same one has the same name, and a password in it can't be read. */
export const servingName = (serving: Serving): string =>
  createHash("sha256")
    .update(JSON.stringify([serving.auth, ...servingArgs(serving)]))
    .digest("hex");

/** The record, if there is one that can be read. */
export const readInstance = (place: RecordPlace): Promise<InstanceRecord | undefined> =>
  readRecord(place.path, RecordSchema, maxRecordBytes);

/** Writes the record of a running registry, whole or not at all. */
export const writeInstance = (place: RecordPlace, record: InstanceRecord): Promise<void> =>
  replaceSmall(place.path, `${JSON.stringify(record)}\n`);

/** Removes the record of this instance, and leaves that of another. */
export async function removeInstance(place: RecordPlace, instance: string): Promise<void> {
  const found = await readInstance(place);
  if (found !== undefined && found.instance !== instance) return;
  if ((await readSmall(place.path)) !== undefined) await removed(place.path);
  await removed(place.logPath);
  await removed(place.caPath);
}
