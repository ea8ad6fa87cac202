import type { ImageSource } from "../image/types.ts";
import { type ContentGraph, readGraph } from "./content-graph.ts";
import { readLock } from "./lock-source.ts";
import type { Session } from "./session.ts";
import { openModel } from "./source.ts";
import { type ModelSummary, summarize } from "./summary.ts";
import type { WeightEntry } from "./weight-entry.ts";
import { parseWeightsLock } from "./weights-lock.ts";

/** What a source holds: a lock, or a model that can be read. */
export type Loaded =
  | { kind: "lock"; name: string; created: string; files: WeightEntry[]; bytes: Uint8Array }
  | ({ kind: "model"; summary: ModelSummary; graph: ContentGraph } & AsyncDisposable & ImageSource);

/** Opens a reference, a layout, an archive or a lock, and reads its manifests. The caller disposes of a model. */
export async function loadSource(session: Session, text: string): Promise<Loaded> {
  const bytes = await readLock(session.cwd, text);
  if (bytes !== undefined) {
    const { created, files } = parseWeightsLock(bytes, text);
    return { kind: "lock", name: text, created, files, bytes };
  }
  const source = await openModel(session, text);
  try {
    const graph = await readGraph(source.reader, source.root, session.signal);
    const summary = summarize(graph.root, graph.children, source.name);
    const dispose = { [Symbol.asyncDispose]: () => source.close() };
    return { kind: "model", summary, graph, ...source, ...dispose };
  } catch (error) {
    await source.close();
    throw error;
  }
}
