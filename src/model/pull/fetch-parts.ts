import { assembledCache, keepContent } from "../../store/cache/assembled.ts";
import { obtainBlob } from "../../store/cache/obtain.ts";
import { temporaryName } from "../../store/placement/materialize.ts";
import { contentOf, contentText, type FilePlan } from "../parts/file-plan.ts";
import { assembleFile, growingBlob, type Made, removeEncoded } from "./assemble-file.ts";
import { growInPlace } from "./fetch-in-place.ts";
import { growOrMove, mayGoWithout } from "./fetch-via-cache.ts";
import { materializeFile } from "./place-file.ts";
import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { type FetchProgress, fetchProgress } from "./pull-download.ts";
import type { WantedFile } from "./pull-plan.ts";
import { goOnWithoutCache, sayUnlocked } from "./pull-warnings.ts";

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
  const [first] = files;
  const { entry } = first;
  let begun = false;
  let made: Made = "parts";
  const checkWhole = assembly.checksWhole(plan);
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
      async fetch(partial, journal) {
        begun = true;
        const place = { partial, journal };
        const refused = await growOrMove(first, place, growingBlob(plan), context, async () => {
          made = await assembleFile(entry, plan, place, context, progress);
        });
        if (refused !== undefined) {
          await removeEncoded(place, plan).catch(() => undefined);
          return refused;
        }
        // Before it has its name: who finds it there must be able to verify it.
        if (!checkWhole) await keepContent(cache, name, contentText(plan));
      },
      onUnlocked: () => sayUnlocked(context, cache.root),
      onWait: (holder) =>
        session.emit({
          type: "detail",
          message: `${entry.name}: waiting for process ${holder?.pid ?? "unknown"}, which is downloading it`,
        }),
    },
  );
  if (obtained.kind === "unusable") {
    // Before it began, nothing but the cache was asked for anything.
    if (begun && !(await mayGoWithout(obtained.why, context))) throw obtained.why;
    goOnWithoutCache(context, obtained.why);
    progress.takeBack();
    return undefined;
  }
  try {
    const { path, outcome } = obtained;
    assembly.place(plan, path);
    // Only what was put together is known to have these parts.
    const isAsPlanned = outcome === "fetched" && made === "parts";
    if (isAsPlanned) await assembly.records.add(path, contentOf(plan));
    for (const file of files) await materializeFile(file, path, context);
    return outcome;
  } finally {
    obtained.release();
  }
}

/** Beside the final place, with nothing kept elsewhere. */
function inPlace(
  files: Files,
  plan: FilePlan,
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome> {
  const [{ entry, path }] = files;
  return growInPlace(files, context, {
    placesIn(directory, own) {
      const whole = directory.at(temporaryName(own));
      return { whole, place: { partial: whole, journal: `${whole}.journal` } };
    },
    async grow({ place }) {
      await assembleFile(entry, plan, place, context, progress);
    },
    onPlaced: () => context.assembly.place(plan, path),
    clean: ({ place }) => removeEncoded(place, plan),
  });
}
