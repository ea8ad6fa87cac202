import { directoryMode } from "../../../runtime/own-file.ts";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errno, OcibundleError } from "../../../errors.ts";
import { type BlobLinks, openBlobLinks } from "./blob-links.ts";
import { type Content, openContent } from "./content.ts";
import { isDirectory, readSmall, removeStale, replaceSmall } from "./files.ts";
import { createTurns } from "./in-turn.ts";
import { type ManifestLinks, openManifestLinks } from "./manifest-links.ts";
import { repositoriesDirectory, repositoryDirectory, temporaryDirectory } from "./paths.ts";
import { repositoryNames, repositoryParts } from "./repositories.ts";
import { openTagLinks, type TagLinks } from "./tag-links.ts";
import { openUploadSessions, removeStaleUploads, type UploadSessions } from "./upload-sessions.ts";
import { unwritable } from "../../../runtime/file-faults.ts";

/** Everything a registry keeps, in one directory; nothing but running hashes is in memory alone. */
export interface Storage {
  content: Content;
  blobs: BlobLinks;
  manifests: ManifestLinks;
  tags: TagLinks;
  uploads: UploadSessions;
  /** Whether anything was ever pushed to it. */
  hasRepository(name: string): Promise<boolean>;
  /** In lexical order. */
  repositoryNames(): Promise<string[]>;
}

/** Says that a directory is a registry's storage, and of which shape. */
const markerName = "ocibundle-registry.json";
const marker = `${JSON.stringify({ version: 1 })}\n`;

/** What nobody went on with for this long is gone at the next start. */
const unfinishedLifetime = 7 * 24 * 60 * 60 * 1000;

/**
 * Opens the storage in the directory `root`, making it where it is missing.
 * Throws `conflict` when it is no directory or the storage of another version, and as `unwritable` when it can't be
 * written.
 */
export async function openStorage(root: string): Promise<Storage> {
  try {
    await prepare(root);
  } catch (error) {
    throw errno(error) === "ENOTDIR" || errno(error) === "EEXIST"
      ? new OcibundleError("conflict", `registry storage "${root}": not a directory`, {
          cause: error,
        })
      : unwritable(root, error);
  }
  const content = openContent(root);
  const turns = createTurns();
  const hasRepository = async (name: string): Promise<boolean> =>
    (await isDirectory(join(repositoryDirectory(root, name), repositoryParts.manifests))) ||
    (await isDirectory(join(repositoryDirectory(root, name), repositoryParts.blobs)));
  return {
    content,
    blobs: openBlobLinks(root, content, turns),
    manifests: openManifestLinks(root, content, turns),
    tags: openTagLinks(root),
    uploads: openUploadSessions(root),
    hasRepository,
    async repositoryNames() {
      const names: string[] = [];
      for await (const name of repositoryNames(root)) {
        if (await hasRepository(name)) names.push(name);
      }
      return names.toSorted();
    },
  };
}

async function prepare(root: string): Promise<void> {
  await mkdir(repositoriesDirectory(root), { recursive: true, mode: directoryMode });
  const path = join(root, markerName);
  const found = await readSmall(path);
  if (found !== undefined && found !== marker) {
    throw new OcibundleError("conflict", `registry storage "${root}": unsupported version`, {
      hint: "use another directory, or the version that created this one",
    });
  }
  await mkdir(temporaryDirectory(root), { recursive: true, mode: directoryMode });
  if (found === undefined) await replaceSmall(path, marker);
  const before = Date.now() - unfinishedLifetime;
  await removeStale(temporaryDirectory(root), before);
  await removeStaleUploads(root, before);
}
