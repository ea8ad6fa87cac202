import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { OcibundleError, errno, isLocal } from "../../errors.ts";
import { revealFile, temporaryName } from "../../store/placement/materialize.ts";
import {
  openTargetDirectory,
  type TargetDirectory,
} from "../../store/placement/target-directory.ts";
import { chmodAsNew, openOwnFile } from "../../runtime/own-file.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { download, type FetchProgress } from "./pull-download.ts";
import { materializeFile, ownFileWays } from "./place-file.ts";
import { placeUnlessThere } from "./same-content.ts";
import type { WantedFile } from "./pull-plan.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** Where a compressed blob grows when its original is to grow at `path`. */
export const compressedPart = (path: string): string => `${path}.blob`;

/** Where an original grows in the directory of its file, under the name that `own` stands for. */
export function partsIn(
  directory: TargetDirectory,
  { entry }: WantedFile,
  own: string,
): { whole: string; place: JournalPlace } {
  const whole = directory.at(temporaryName(own));
  const partial = entry.digest === entry.digestOriginal ? whole : compressedPart(whole);
  return { whole, place: { partial, journal: `${whole}.journal` } };
}

/** Fetches beside the final place, with nothing kept elsewhere; further files are copied from the first. */
export async function fetchInPlace(
  [first, ...others]: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome> {
  const { entry } = first;
  return growInPlace([first, ...others], context, {
    placesIn: (directory, own) => partsIn(directory, first, own),
    grow: ({ whole, place }) => download(entry, place, whole, context, progress),
  });
}

/** Where a file grows, and where what comes of it does. */
interface Growing {
  whole: string;
  place: JournalPlace;
}

/**
 * Lets a file grow beside its final place, and gives it its name; further files are copied from it. Only who has
 * the directory alone leaves what has grown for the next run to go on from.
 */
export async function growInPlace(
  [first, ...others]: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
  how: {
    /** Where it grows, under the name that `own` stands for. */
    placesIn(directory: TargetDirectory, own: string): Growing;
    grow(growing: Growing): Promise<void>;
    /** Called once it has its name. */
    onPlaced?(): void;
    /** Removes what may lie there besides. */
    clean?(growing: Growing): Promise<void>;
  },
): Promise<FetchOutcome> {
  const { entry, parts, path } = first;
  const name = parts.at(-1) ?? "";
  await using directory = await openTargetDirectory(context.root, parts.slice(0, -1));
  const growing = how.placesIn(directory, context.alone ? name : `${name} ${randomUUID()}`);
  const { whole, place } = growing;
  try {
    await how.grow(growing);
    await placeUnlessThere(directory.at(name), entry, context.session.signal, () =>
      finishFile(directory, whole, name, path, context.force),
    );
    how.onPlaced?.();
    await removeGrown(place);
  } catch (error) {
    throw ofFile(path, error);
  } finally {
    if (!context.alone) {
      await removeParts(whole);
      await how.clean?.(growing).catch(() => undefined);
    }
  }
  for (const other of others) {
    await materializeFile(other, directory.at(name), context, ownFileWays(context.link));
  }
  return "fetched";
}

/** What may lie beside a file that grows at `path`, or in its place. */
const partSuffixes = ["", ".blob", ".journal", ".journal.new"] as const;

/** Removes what lies where a file grew. Never throws. */
export async function removeParts(path: string): Promise<void> {
  for (const suffix of partSuffixes) {
    await rm(path + suffix, { force: true }).catch(() => undefined);
  }
}

/** A file's part has a name that tells nobody anything: the failure is shown as that of the file. */
function ofFile(path: string, error: unknown): unknown {
  const isOfSystem = isLocal(error) && errno(error.cause) !== undefined;
  return isOfSystem ? unwritable(path, error.cause) : error;
}

/** Gives a whole file its final name, flushed. Throws `conflict`, `file`, `integrity`, `system`. */
async function finishFile(
  directory: TargetDirectory,
  whole: string,
  name: string,
  shown: string,
  replace: boolean,
): Promise<void> {
  try {
    const file = await openOwnFile(whole);
    if (file === undefined)
      throw new OcibundleError("integrity", `"${shown}" was replaced during the pull`);
    try {
      await chmodAsNew(file, whole);
      await file.sync();
    } finally {
      await file.close();
    }
    await revealFile(whole, directory.at(name), replace);
  } catch (error) {
    await removeParts(whole);
    if (errno(error) === "EEXIST") {
      throw new OcibundleError("conflict", `"${shown}" already exists`, { cause: error });
    }
    throw unwritable(shown, error);
  }
}
