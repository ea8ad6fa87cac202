import { amended, OcibundleError } from "../../errors.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";
import { parallel } from "../../flow/parallel.ts";
import { isTag } from "../../oci/reference.ts";
import { type HubRef, type HubSnapshot, type HubSource, NotOnHub } from "../../serve/hub-source.ts";
import type { Blobs } from "./blobs.ts";
import type { Catalog } from "./catalog.ts";
import { keepServed } from "./kept-served.ts";
import { createMisses } from "./misses.ts";
import { type ModelState, openState, type StateOptions } from "./model-state.ts";
import type { Served } from "./snapshot.ts";

/** Tags that are looked at for a commit that is not known, and listed by `refs`. */
const mostTags = 200;
const tagsAtOnce = 8;

/** Models of a registry that are known in memory. */
const mostModels = 256;

/** Models of a catalog as a hub's: the link between a registry and the answers to clients. */
export function createModels(
  catalog: Catalog,
  blobs: Blobs,
  given: Omit<StateOptions, "kept">,
): HubSource & { close(): Promise<void> } {
  const options = { ...given, kept: keepServed() };
  const { refresh } = options;
  /** Of registries; those that were used last come last. There are as many as clients name. */
  const states = new Map<string, ModelState>();
  /** Of this machine: as many as are mapped, and open while they may be read. */
  const local = new Map<string, ModelState>();
  const misses = createMisses(refresh);
  const ofSnapshot = new WeakMap<HubSnapshot, Served>();
  const withoutMain = new WeakSet<ModelState>();

  /** Once for each model: clients show no more than that there is no such revision. */
  const warnOfMain = (state: ModelState, revision: string, error: unknown): void => {
    const isMissing = error instanceof NotOnHub && error.kind === "revision";
    if (revision !== "main" || !isMissing || withoutMain.has(state)) return;
    withoutMain.add(state);
    const message = `${error.message}; choose the tag that is served as main with --tag or --map`;
    options.session.emit({ type: "warning", message });
  };

  const stateOf = (id: string): ModelState => {
    const place = catalog.find(id);
    if (place === undefined) throw new NotOnHub("model", `no model "${id}" is served here`);
    const key = JSON.stringify(place);
    const all = place.kind === "local" ? local : states;
    const state = all.get(key) ?? openState(place, options);
    all.delete(key);
    all.set(key, state);
    dropOldest(states, mostModels);
    return state;
  };

  const snapshotOf = (id: string, served: Served): HubSnapshot => {
    const { commit, digest, files, byPath } = served;
    const snapshot = { id, commit, digest, files, byPath };
    ofSnapshot.set(snapshot, served);
    return snapshot;
  };

  return {
    ids: () => catalog.ids,
    async snapshot(id, revision) {
      const state = stateOf(id);
      const find = () =>
        findRevision(state, id, revision).catch((error: unknown) => {
          warnOfMain(state, revision, error);
          throw error;
        });
      return snapshotOf(id, await misses.run(`${id}@${revision}`, find));
    },
    async refs(id) {
      const state = stateOf(id);
      const main = await misses.run(`${id}@main`, () => findRevision(state, id, "main"));
      const tags = await tagsOf(state, options);
      return { branches: [{ name: "main", commit: main.commit }], tags };
    },
    async read(snapshot, file, range, signal) {
      const served = ofSnapshot.get(snapshot);
      if (served === undefined) throw new TypeError("a snapshot of somebody else");
      const { reader } = served;
      const located = await served.locate(file.path, false);
      try {
        return await blobs.read(reader, located, range, signal);
      } catch (error) {
        if (!(error instanceof OcibundleError)) throw error;
        if (located.unpacked && !options.offline) {
          return blobs.read(reader, await served.locate(file.path, true), range, signal);
        }
        // The model is there: that a registry lacks one of its blobs is the registry's fault.
        throw error.code === "not_found" ? amended(error, { code: "network" }) : error;
      }
    },
    isTainted: ({ digest }) => blobs.isTainted(digest),
    async close() {
      for (const state of local.values()) await state.close();
    },
  };
}

const isNotFound = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && error.code === "not_found";

/** What a revision of a model is. Throws `NotOnHub` for none, `OcibundleError` where the registry does not answer. */
async function findRevision(state: ModelState, id: string, revision: string): Promise<Served> {
  const name = revision.replace(/^refs\/(?:heads|tags)\//, "");
  if (name === "main" || name === "HEAD") {
    try {
      return await state.main();
    } catch (error) {
      throw await missing(state, id, revision, error);
    }
  }
  const digest = /^(?:sha256:)?([0-9a-f]{64})$/.exec(name)?.[1];
  try {
    if (digest !== undefined) return await state.at(`sha256:${digest}`);
    if (/^[0-9a-f]{40}$/.test(name)) {
      const served = (await state.commit(name)) ?? (await searched(state, name));
      if (served !== undefined) return served;
    }
    if (isTag(name)) return await state.at(name);
  } catch (error) {
    throw await missing(state, id, revision, error);
  }
  throw new NotOnHub("revision", `${id} has no revision "${revision}" in ${state.name}`);
}

/** A commit that is not known, among the tags: it was given out by another server, or before the cache was cleared. */
async function searched(state: ModelState, commit: string): Promise<Served | undefined> {
  const main = await state.main().catch(() => undefined);
  if (main?.commit === commit) return main;
  for await (const tag of firstTags(state)) {
    const served = await state.at(tag).catch(() => undefined);
    if (served?.commit === commit) return served;
  }
  return undefined;
}

async function* firstTags({ listTags }: ModelState): AsyncGenerator<string, void, undefined> {
  let count = 0;
  if (listTags === undefined) return;
  for await (const tag of listTags()) {
    yield tag;
    count += 1;
    if (count === mostTags) return;
  }
}

/** Whether it is the model or the revision that is missing: a repository that has tags is there. */
async function missing(
  state: ModelState,
  id: string,
  revision: string,
  error: unknown,
): Promise<unknown> {
  if (!isNotFound(error)) return error;
  const { message } = error;
  const tags: string[] = [];
  try {
    for await (const tag of firstTags(state)) tags.push(tag);
  } catch {
    return new NotOnHub("model", `${id}: ${message}`);
  }
  const isThere = tags.length > 0 || (state.listTags === undefined && revision !== "main");
  if (!isThere) return new NotOnHub("model", `${id}: ${message}`);
  const shown = tags.slice(0, 5).join(", ");
  const among = shown === "" ? "" : `; its tags are ${shown}${tags.length > 5 ? ", …" : ""}`;
  return new NotOnHub("revision", `${id}: ${message}${among}`);
}

/** The tags that are models, each with its commit. What can't be listed is passed over with a warning. */
async function tagsOf(
  state: ModelState,
  { session: { signal, emit } }: StateOptions,
): Promise<HubRef[]> {
  const names: string[] = [];
  try {
    for await (const tag of firstTags(state)) names.push(tag);
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    emit({ type: "warning", message: `${state.name}: tags not listed: ${why}` });
    return [];
  }
  const found = await parallel(names, tagsAtOnce, signal, async (name) => {
    try {
      return { name, commit: (await state.at(name)).commit };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError) || error.code === "network") throw error;
      emit({ type: "detail", message: `${state.name}:${name}: not listed: ${error.message}` });
      return undefined;
    }
  });
  return found.filter((ref) => ref !== undefined);
}
