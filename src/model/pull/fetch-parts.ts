import { randomUUID } from "node:crypto";
import { assembledCache, keepContent } from "../../store/cache/assembled.ts";
import { obtainBlob } from "../../store/cache/obtain.ts";
import { openTargetFolder } from "../../store/placement/target-folder.ts";
import { temporaryName } from "../../store/placement/materialize.ts";
import { removeGrown } from "../../transfer/download/download-journal.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { assembleFile } from "./assemble-file.ts";
import { finishFile, ofFile, removeParts } from "./fetch-in-place.ts";
import { materializeFile, ownFileWays } from "./place-file.ts";
import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { type FetchProgress, fetchProgress } from "./pull-download.ts";
import type { WantedFile } from "./pull-plan.ts";
import { goOnWithoutCache, sayUnlocked } from "./pull-warnings.ts";
import { placeUnlessThere } from "./same-content.ts";

type Files = readonly [WantedFile, ...WantedFile[]];

/** Puts a file together from parts, and gives it to every place that wants it. */
export async function fetchParts(
  files: Files,
  plan: FilePlan,
  context: FetchContext,
): Promise<FetchOutcome> {
  const progress = fetchProgress(files[0].entry, context.session.emit);
  try {
    const cached = context.useCache ? await viaCache(files, plan, context, progress) : undefined;
    return cached ?? (await inPlace(files, plan, context, progress));
  } finally {
    context.assembly.end(plan);
  }
}

/**
 * Through the cache, where the file has the name of its content: that it has the digest which the recipe
 * says of it is not known unless it was checked. Undefined where the cache can't take it.
 */
async function viaCache(
  files: Files,
  plan: FilePlan,
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome | undefined> {
  const { session, source, assembly } = context;
  const [{ entry }] = files;
  const { checkWhole } = assembly;
  const cache = checkWhole ? session.cache : assembledCache(session.cache);
  const name = checkWhole ? plan.claim : plan.key;
  // Nothing that another user can change is a file of ours; its parts may be seeds.
  if (await cache.isForeign(name)) return undefined;
  const obtained = await obtainBlob(
    cache,
    { digest: name, size: plan.size },
    {
      signal: session.signal,
      use: { name: entry.name, origin: source.name },
      fetch: (partial, journal) =>
        assembleFile(entry, plan, { partial, journal }, context, progress),
      onUnlocked: () => sayUnlocked(context, cache.root),
      onWait: (holder) =>
        session.emit({
          type: "detail",
          message: `${entry.name}: waiting for process ${holder?.pid ?? "unknown"}, which is downloading it`,
        }),
    },
  );
  if (obtained.kind === "unusable") {
    goOnWithoutCache(context, obtained.why);
    progress.takeBack();
    return undefined;
  }
  try {
    const { path, outcome } = obtained;
    assembly.place(plan, path);
    if (outcome === "fetched") {
      if (!checkWhole) await keepContent(cache, name, plan.contentBytes);
      await assembly.records.add(path, plan.content);
    }
    for (const file of files) await materializeFile(file, path, context);
    return outcome;
  } finally {
    obtained.release();
  }
}

/** Beside the final place, with nothing kept elsewhere; further files are copied from the first. */
async function inPlace(
  [first, ...others]: Files,
  plan: FilePlan,
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome> {
  const { entry, parts, path } = first;
  const name = parts.at(-1) ?? "";
  await using folder = await openTargetFolder(context.root, parts.slice(0, -1));
  const own = context.alone ? name : `${name} ${randomUUID()}`;
  const whole = folder.at(temporaryName(own));
  const place = { partial: whole, journal: `${whole}.journal` };
  try {
    await assembleFile(entry, plan, place, context, progress);
    await placeUnlessThere(folder.at(name), entry, context.session.signal, () =>
      finishFile(folder, whole, name, path, context.force),
    );
    context.assembly.place(plan, path);
    await removeGrown(place);
  } catch (error) {
    throw ofFile(path, error);
  } finally {
    if (!context.alone) await removeParts(whole);
  }
  for (const other of others) {
    await materializeFile(other, folder.at(name), context, ownFileWays(context.link));
  }
  return "fetched";
}
