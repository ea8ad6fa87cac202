import { digestHex } from "../oci/digest.ts";
import { type Answer, json } from "./answer.ts";
import { type HubFile, type HubSnapshot, NotOnHub, type HubSource } from "./hub-source.ts";

/** A registry knows no times: every commit was made then. */
const someDate = "1970-01-01T00:00:00.000Z";

/** How long a Git LFS pointer to a file would be, in bytes: clients want the member, and none reads it. */
const pointerSize = 135;

const oidOf = ({ digest }: HubFile): string => digestHex(digest).slice(0, 40);

/**
 * What a hub says of a model. Clients disagree about which members they need: all of them are always there
 * (0.23 wants `private`, releases before 1.2x find files in `siblings`).
 */
export function modelInfo({ id, commit, files }: HubSnapshot): object {
  const org = id.includes("/") ? id.slice(0, id.indexOf("/")) : null;
  return {
    _id: commit.slice(0, 24),
    id,
    modelId: id,
    author: org,
    sha: commit,
    private: false,
    gated: false,
    disabled: false,
    lastModified: someDate,
    createdAt: someDate,
    downloads: 0,
    likes: 0,
    tags: [],
    siblings: files.map((file) => ({
      rfilename: file.path,
      size: file.size,
      blobId: oidOf(file),
      lfs: { sha256: digestHex(file.digest), size: file.size, pointerSize },
    })),
  };
}

const isTrue = (text: string | null): boolean => text?.toLowerCase() === "true" || text === "1";

/** An entry of `tree` and `paths-info`. Small files have `lfs` too: it says a sha256 that can be checked. */
function fileEntry(file: HubFile, expand: boolean, { commit }: HubSnapshot): object {
  const { path, size } = file;
  return {
    type: "file",
    oid: oidOf(file),
    size,
    path,
    lfs: { oid: digestHex(file.digest), size, pointerSize },
    ...expansion(expand, commit),
  };
}

const directoryEntry = (path: string, expand: boolean, { commit }: HubSnapshot): object => ({
  type: "directory",
  oid: commit,
  size: 0,
  path,
  ...expansion(expand, commit),
});

const expansion = (expand: boolean, commit: string): object =>
  expand
    ? {
        lastCommit: { id: commit, title: "ocibundle", date: someDate },
        securityFileStatus: null,
      }
    : {};

/** The directories that files lie in, below `under`; with their own. */
function directoriesOf(files: readonly HubFile[], under: string): Set<string> {
  const found = new Set<string>();
  for (const { path } of files) {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const directory = path.slice(0, at);
      if (under !== "" && !directory.startsWith(`${under}/`)) break;
      if (found.has(directory)) break;
      found.add(directory);
    }
  }
  return found;
}

/**
 * The files and directories below a directory, or of all below it, in one page. Throws `NotOnHub` for a
 * directory that is not there: transformers asks for one with each model.
 */
export function tree(snapshot: HubSnapshot, directory: string, query: URLSearchParams): Answer {
  const expand = isTrue(query.get("expand"));
  const recursive = isTrue(query.get("recursive"));
  const prefix = directory === "" ? "" : `${directory}/`;
  const inside = snapshot.files.filter(({ path }) => path.startsWith(prefix));
  if (inside.length === 0 && directory !== "") throw missingFile(snapshot, directory);
  const isListed = (path: string): boolean => recursive || !path.slice(prefix.length).includes("/");
  const entries = [
    ...[...directoriesOf(inside, directory)]
      .filter(isListed)
      .map((path) => directoryEntry(path, expand, snapshot)),
    ...inside.filter(({ path }) => isListed(path)).map((file) => fileEntry(file, expand, snapshot)),
  ];
  return json(entries, 200, { "x-repo-commit": snapshot.commit });
}

/** Those of the paths that exist; others are left out. */
export function pathsInfo(
  snapshot: HubSnapshot,
  paths: readonly string[],
  expand: boolean,
): Answer {
  const directories = directoriesOf(snapshot.files, "");
  const entries = [...new Set(paths.map((path) => path.replace(/^\.?\/|\/$/g, "")))].flatMap(
    (path) => {
      const file = snapshot.byPath.get(path);
      if (file !== undefined) return [fileEntry(file, expand, snapshot)];
      return directories.has(path) ? [directoryEntry(path, expand, snapshot)] : [];
    },
  );
  return json(entries);
}

/** The error for a path that is not there. With the commit clients remember that, and don't ask again. */
export const missingFile = ({ id, commit }: HubSnapshot, path: string): NotOnHub =>
  new NotOnHub("file", `${id} has no file "${path}" at ${commit}`, { cause: { commit } });

/** The answer of the Hub's `refs`: the branches and tags of a repository. Rejects as `source` does. */
export async function refs(source: HubSource, id: string, query: URLSearchParams): Promise<Answer> {
  const { branches, tags } = await source.refs(id);
  const list = (kind: string, all: typeof tags): object[] =>
    all.map(({ name, commit }) => ({
      name,
      ref: `refs/${kind}/${name}`,
      targetCommit: commit,
    }));
  return json({
    branches: list("heads", branches),
    tags: list("tags", tags),
    converts: [],
    ...(isTrue(query.get("include_prs")) ? { pullRequests: [] } : {}),
  });
}

/** One commit is the history of every revision. */
export const commits = ({ commit }: HubSnapshot): Answer =>
  json([{ id: commit, title: "ocibundle", message: "", authors: [], date: someDate }]);
