import { OcibundleError } from "../../errors.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { modelPlace } from "../places/place.ts";
import type { Session } from "../session/session.ts";
import { verifySettingsOf } from "../session/settings-of.ts";
import { requireSignature } from "../trust/require-signature.ts";
import type { ModelPlace } from "./catalog.ts";
import type { ManifestMemory } from "./kept-manifests.ts";
import type { KeptServed } from "./kept-served.ts";
import { readServed, type Served } from "./snapshot.ts";

/** More names of one model are not kept. */
const mostNames = 512;

/** One model's revisions: each is read once, and asked for again when it is no longer believed. */
export interface ModelState {
  /** For messages and records: `registry.example.com/acme/llama`. */
  readonly name: string;
  /** What a tag or a digest stands for. */
  at(tagOrDigest: string): Promise<Served>;
  /** What `main` stands for. */
  main(): Promise<Served>;
  /** What a commit is, where it was seen before. */
  commit(commit: string): Promise<Served | undefined>;
  /** Tags; undefined where the place has none. Throws `not_found` where there is no such repository. */
  listTags: (() => AsyncIterable<string>) | undefined;
  close(): Promise<void>;
}

/** What the models of one server share. */
export interface StateOptions {
  session: Session;
  /** Manifests and tags that were read before, by earlier runs too. */
  memory: ManifestMemory;
  /** The file lists of versions that this server was asked for, the latest of all models together. */
  kept: KeptServed;
  /** The directory of dests that is the repository's root; the one that they share when undefined. */
  root: string | undefined;
  /** How long a tag is believed, in milliseconds. */
  refresh: number;
  /** Whether the registry is not asked: only what is on this machine is served. */
  offline: boolean;
}

interface Known {
  commit: string;
  /** Of the manifest that the name stands for. */
  digest: Digest;
  at: number;
}

/** Throws as opening does where a model of this machine is not there: clients would only be told when they ask. */
export async function checkLocal(place: ModelPlace, session: Session): Promise<void> {
  if (place.kind !== "local") return;
  const source = await (await modelPlace(session, place.text)).open();
  await source.close();
}

/** What a server knows of one model. Asks the registry only when the model is asked for. */
export function openState(place: ModelPlace, options: StateOptions): ModelState {
  return place.kind === "registry" ? registryState(place, options) : localState(place, options);
}

function registryState(
  place: ModelPlace & { kind: "registry" },
  { offline, ...options }: StateOptions,
): ModelState {
  const { session, memory } = options;
  const { host, repository, main } = place;
  const reader = memory.keep(session.reader({ host, repository }), offline);
  const { name } = reader;
  const revisions = createRevisions(name, options);
  const isSigned = verifySettingsOf(session.config, place).length > 0;
  const at = (tagOrDigest: string): Promise<Served> =>
    revisions.named(tagOrDigest, async () => {
      const found = await reader.readManifest(tagOrDigest, session.signal);
      await requireSignature(session, { host, repository }, found.digest);
      return { reader, root: found };
    });
  return {
    name,
    at,
    main: () => at(main),
    async commit(commit) {
      const seen = revisions.seen(commit);
      // What was noted of a commit is the weights' own digest, and what is signed may be their index.
      if (seen !== undefined || isSigned) return seen;
      const digest = await memory.findCommit(name, commit);
      if (digest === undefined) return undefined;
      const served = await at(digest);
      return served.commit === commit ? served : undefined;
    },
    listTags: offline
      ? undefined
      : () => session.mirrored({ host, repository }).listTags(session.signal),
    async close() {},
  };
}

/** A layout or an archive. A layout is looked at again, since a build may have moved its tag. */
function localState(
  { text }: ModelPlace & { kind: "local" },
  { refresh, ...options }: StateOptions,
): ModelState {
  const { session } = options;
  const closers: (() => Promise<void>)[] = [];
  const isLayout = text.startsWith("oci:");
  let latest: { reader: ContentReader; root: RawManifest } | undefined;
  const revisions = createRevisions(text, {
    ...options,
    refresh: isLayout ? refresh : Number.POSITIVE_INFINITY,
  });
  const open = async () => {
    const source = await (await modelPlace(session, text)).open();
    if (source.root.digest === latest?.root.digest) {
      await source.close();
      return latest;
    }
    // A layout has nothing to close, however often it is opened; the others are opened once.
    if (!isLayout) closers.push(() => source.close());
    latest = { reader: { ...source.reader, name: source.name }, root: source.root };
    return latest;
  };
  const main = (): Promise<Served> => revisions.named("main", open);
  return {
    name: text,
    main,
    async at(tagOrDigest) {
      if (!isDigest(tagOrDigest)) throw new OcibundleError("not_found", `no tag "${tagOrDigest}"`);
      await main();
      return revisions.named(tagOrDigest, async () => {
        const { reader } = latest ?? (await open());
        return { reader, root: await reader.readManifest(tagOrDigest, session.signal) };
      });
    },
    async commit(commit) {
      await main();
      return revisions.seen(commit);
    },
    listTags: undefined,
    async close() {
      for (const closer of closers) await closer();
    },
  };
}

function createRevisions(
  name: string,
  { session, memory, kept, root, refresh }: Omit<StateOptions, "offline">,
) {
  /** Those that were used last come last. */
  const names = new Map<string, Known>();
  const pending = new Map<string, Promise<Served>>();

  const note = (key: string, known: Known): void => {
    names.delete(key);
    names.set(key, known);
    dropOldest(names, mostNames);
  };
  /** What a name stood for when it was looked up last. */
  const lastOf = (known: Known | undefined): Served | undefined =>
    known && kept.find(name, known.commit);

  const remember = async (key: string, served: Served, digest: Digest): Promise<void> => {
    const other = kept.find(name, served.commit);
    if (other !== undefined && other.digest !== served.digest) {
      throw new OcibundleError(
        "integrity",
        `${name}: ${served.digest} and ${other.digest} begin with the same 40 digits`,
      );
    }
    kept.keep(name, served);
    note(key, { commit: served.commit, digest, at: performance.now() });
    if (other === undefined) await memory.noteCommit(name, served.commit, served.digest);
  };

  const read = async (
    key: string,
    open: () => Promise<{ reader: ContentReader; root: RawManifest }>,
  ): Promise<Served> => {
    const known = names.get(key);
    try {
      const source = await open();
      const last = lastOf(known);
      if (last !== undefined && known?.digest === source.root.digest) {
        note(key, { ...known, at: performance.now() });
        return last;
      }
      const served = await readServed(source.reader, source.root, { session, root });
      // The same weights behind other code: what was looked up of them stays.
      const same = kept.find(name, served.commit);
      const right = same?.digest === served.digest ? same : served;
      await remember(key, right, source.root.digest);
      return right;
    } catch (error) {
      const isDown = error instanceof OcibundleError && error.code === "network";
      const last = lastOf(known);
      if (last === undefined || known === undefined || !isDown) throw error;
      const message = `${error.message}; serving the previous revision of "${key}" of ${name}`;
      session.emit({ type: "warning", message });
      note(key, { ...known, at: performance.now() });
      return last;
    }
  };

  return {
    seen: (commit: string): Served | undefined => kept.find(name, commit),
    /** What a name stands for: as it is known, else as `open` reads it, once for all who ask meanwhile. */
    named(
      key: string,
      open: () => Promise<{ reader: ContentReader; root: RawManifest }>,
    ): Promise<Served> {
      const known = names.get(key);
      const last = lastOf(known);
      if (known !== undefined && last !== undefined) {
        note(key, known);
        if (isDigest(key) || performance.now() - known.at < refresh) return Promise.resolve(last);
      }
      const running = pending.get(key) ?? read(key, open).finally(() => pending.delete(key));
      pending.set(key, running);
      return running;
    },
  };
}
