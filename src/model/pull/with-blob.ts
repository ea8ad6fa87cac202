import type { Descriptor } from "../../oci/descriptor.ts";
import { obtainBlob, requireBlob } from "../../store/cache/obtain.ts";
import { layerTypes, type WeightEntry } from "../format/weight-entry.ts";
import type { FetchContext } from "./pull-context.ts";
import { download, fetchProgress } from "./pull-download.ts";

/** Runs `work` on a blob's file in the cache, fetched if it is not there, and removes it afterwards. */
export async function withBlob<T>(
  blob: Descriptor,
  context: FetchContext,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const { session, source } = context;
  const { cache, signal, emit } = session;
  const { digest, size } = blob;
  const original = digest as `sha256:${string}`;
  const layer: WeightEntry = {
    name: `layer ${digest.slice(0, 19)}`,
    dest: "/layer",
    digestOriginal: original,
    digest: original,
    size,
    sizeUncompressed: size,
    mediaType: layerTypes.none,
  };
  emit({ type: "phase", phase: "download", items: 1, bytes: size });
  const progress = fetchProgress(layer, emit);
  const obtained = requireBlob(
    await obtainBlob(
      cache,
      { digest, size },
      {
        signal,
        use: { name: layer.name, origin: source.name },
        fetch: (partial, journal) =>
          download(layer, { partial, journal }, partial, context, progress),
      },
    ),
  );
  emit({
    type: "done",
    phase: "download",
    item: layer.name,
    ...(obtained.outcome === "cached"
      ? { outcome: obtained.outcome, group: "weights", bytes: size }
      : {}),
  });
  try {
    return await work(obtained.path);
  } finally {
    obtained.release();
    // Its files are in the cache now; twice the space would be of no use to anybody.
    if (obtained.outcome === "fetched") await cache.remove(digest).catch(() => undefined);
  }
}
