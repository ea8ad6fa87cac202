import { statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import type { HeldLock } from "../../store/locks/lock-file.ts";
import type { WaitOptions } from "../../store/locks/wait-for-lock.ts";
import {
  mergeRecord,
  readRecord,
  type RecordTemp,
  writeRecord,
} from "../../store/cache/record-file.ts";
import type { EmitEvent } from "../events.ts";
import { chunkSizes } from "./chunk-size.ts";
import type { RegistryTraits } from "./registry-traits.ts";
import { methodNames, type UploadMethod } from "./upload-method.ts";

/** What was noticed counts for a week, in milliseconds: registries and the proxies before them change. */
const lifetime = 7 * 24 * 60 * 60 * 1000;

const maxRegistries = 64;
const maxReason = 300;
const maxBytes = 256 * 1024;

const methods = ["put", "chunks", "patch"] as const satisfies readonly UploadMethod[];

/** When something was noticed, in milliseconds since 1970. */
const noticed = SizeSchema;

const RememberedSchema = v.object({
  host: v.string(),
  refused: v.array(
    v.object({
      way: v.picklist(methods),
      // It is shown on a terminal.
      reason: v.pipe(v.string(), v.maxLength(maxReason), v.regex(/^[^\p{Cc}]*$/u)),
      noticed,
    }),
  ),
  largestChunk: v.optional(
    v.object({ bytes: v.pipe(SizeSchema, v.minValue(chunkSizes.least)), noticed }),
  ),
});

type Remembered = v.InferOutput<typeof RememberedSchema>;

const MemorySchema = v.object({
  version: v.literal(1),
  /** The one that was learned of last is the last one. */
  registries: v.array(RememberedSchema),
});

/** Where the memory is kept: a cache. */
interface MemoryPlace extends RecordTemp {
  readonly recordsDir: string;
  lockName(name: string, options: WaitOptions): Promise<HeldLock>;
}

/**
 * How registries took uploads in earlier runs, so that what they refuse is not tried again with the first
 * blob of each. It only saves work: neither method throws.
 */
export interface UploadMemory {
  /** Adds to `traits` what is remembered about a registry, and reports it; once a run. */
  recall(host: string, traits: RegistryTraits): Promise<void>;
  /** Keeps what was learned since, and corrects what turned out to be wrong. */
  keep(host: string, traits: RegistryTraits): Promise<void>;
}

/** What is known of one registry in this run. */
interface Known {
  /** Before anything was remembered: this is known without a memory. */
  first: RegistryTraits;
  recalled: Remembered;
  /** What was learned, as of the last time it was kept. */
  kept: string;
}

/** A memory in one file, readable by its owner only. `now` is in milliseconds since 1970. */
export function uploadMemory(
  place: MemoryPlace,
  emit?: EmitEvent,
  now: () => number = Date.now,
): UploadMemory {
  const path = join(place.recordsDir, "upload-ways.json");
  const known = new Map<string, Promise<Known>>();

  const recall = async (host: string, traits: RegistryTraits): Promise<Known> => {
    const first = { ...traits, refused: new Map(traits.refused) };
    const recalled = of(host, await read(path, now()));
    const told = (message: string, since: number) =>
      emit?.({ type: "detail", message: `${host}: ${message} ${ago(now() - since)}` });
    for (const { way: method, reason, noticed: since } of recalled.refused) {
      if (traits.refused.has(method)) continue;
      traits.refused.set(method, reason);
      told(`${methodNames[method]} is tried last: it was rejected (${reason})`, since);
    }
    const { largestChunk } = recalled;
    if (largestChunk !== undefined && largestChunk.bytes < traits.largestChunk) {
      traits.largestChunk = largestChunk.bytes;
      told(
        `chunks have at most ${largestChunk.bytes} bytes: larger ones were rejected`,
        largestChunk.noticed,
      );
    }
    return { first, recalled, kept: learned(traits) };
  };

  return {
    async recall(host, traits) {
      const before = known.get(host) ?? recall(host, traits);
      known.set(host, before);
      await before;
    },

    async keep(host, traits) {
      const here = await known.get(host);
      if (here === undefined || here.kept === learned(traits)) return;
      here.kept = learned(traits);
      await mergeRecord(place, "upload-ways", async () => {
        const all = await read(path, now());
        const merged = merge(of(host, all), here, traits, now());
        const others = all.filter((one) => one.host !== host);
        const isEmpty = merged.refused.length === 0 && merged.largestChunk === undefined;
        const registries = [...others, ...(isEmpty ? [] : [merged])].slice(-maxRegistries);
        const text = JSON.stringify({ version: 1, registries });
        await writeRecord(place, path, text, { mode: 0o600 });
      });
    },
  };
}

/** What is in the file, without what is too old. A file of somebody else is not believed. */
async function read(path: string, now: number): Promise<Remembered[]> {
  if (!isOwn(path)) return [];
  const registries = (await readRecord(path, MemorySchema, maxBytes))?.registries ?? [];
  // What lies in the future was noted by another clock, and would count for ever.
  const counts = ({ noticed: since }: { noticed: number }) =>
    since <= now && now - since < lifetime;
  return registries.map(({ host, refused, largestChunk }) => ({
    host,
    refused: refused.filter(counts),
    ...(largestChunk !== undefined && counts(largestChunk) ? { largestChunk } : {}),
  }));
}

/** Whether a file is there and this user's. */
function isOwn(path: string): boolean {
  try {
    return process.getuid === undefined || statSync(path).uid === process.getuid();
  } catch {
    return false;
  }
}

const of = (host: string, registries: readonly Remembered[]): Remembered =>
  registries.find((one) => one.host === host) ?? { host, refused: [] };

/** What can change in a run and is worth keeping, as a text to compare. */
const learned = ({ refused, largestChunk }: RegistryTraits): string =>
  JSON.stringify([[...refused.keys()].toSorted(), largestChunk]);

/** What the file says by now, with what this run found out to be so, or no longer so. */
function merge(
  current: Remembered,
  { first, recalled }: Known,
  traits: RegistryTraits,
  now: number,
): Remembered {
  const refused = methods.flatMap((method) => {
    if (first.refused.has(method)) return [];
    const before = recalled.refused.find((one) => one.way === method);
    const others = current.refused.find((one) => one.way === method);
    const reason = traits.refused.get(method);
    // Not taken as new: it is not known anew.
    if (reason !== undefined)
      return [before ?? others ?? { way: method, reason: clean(reason), noticed: now }];
    return before === undefined && others !== undefined ? [others] : [];
  });
  const { largestChunk: bytes } = traits;
  const limited = bytes < first.largestChunk;
  const largestChunk = !limited
    ? current.largestChunk
    : bytes === recalled.largestChunk?.bytes
      ? recalled.largestChunk
      : { bytes, noticed: now };
  return { host: current.host, refused, ...(largestChunk === undefined ? {} : { largestChunk }) };
}

const clean = (reason: string): string => reason.replaceAll(/\p{Cc}+/gu, " ").slice(0, maxReason);

/** `3 days ago` */
function ago(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  const [count, unit] =
    minutes < 60
      ? [minutes, "minute"]
      : minutes < 48 * 60
        ? [Math.floor(minutes / 60), "hour"]
        : [Math.floor(minutes / 60 / 24), "day"];
  return count === 0 ? "just now" : `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}
