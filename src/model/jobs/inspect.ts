import { loadSource } from "../places/load-model.ts";
import { type JobContext, openSession } from "../session/session.ts";
import { parsePlace } from "../places/place.ts";
import type { Inspected } from "../../report/model.ts";

/** Describes what a reference, a layout, an archive or a lock holds. */
export async function inspectSource(job: JobContext, source: string): Promise<Inspected> {
  const session = openSession(job);
  const loaded = await loadSource(session, source, (_child, error) => {
    // What an index lists and what it is for is told by the index: a part of it may be elsewhere.
    if (error.code === "integrity") throw error;
    session.emit({ type: "warning", message: error.message });
  });
  if (loaded.kind === "lock") {
    const { name, created, files } = loaded;
    return { name, type: "lock", created, files };
  }
  await using model = loaded;
  return { name: model.name, ...model.summary };
}

/** The bytes behind a source, as they are stored. */
export async function inspectRaw(job: JobContext, source: string): Promise<Uint8Array> {
  const place = await parsePlace(openSession(job), source);
  if (place.kind === "lock") return place.bytes;
  const { root, close } = await place.open();
  await close();
  return root.bytes;
}
