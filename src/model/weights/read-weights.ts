import { OcibundleError } from "../../errors.ts";
import type { ReadOptions, Sha256, WantedFile, WeightContent } from "./file-state.ts";
import { readWeightFiles } from "./read-weight-files.ts";
import { hashRemotes } from "./hash-remotes.ts";
import { remoteContent, type RemoteFile } from "./remote-file.ts";

/** A weight file to read, on this machine or remote. */
export interface WantedWeight extends WantedFile {
  /** Where the file lies when it is not on this machine. */
  remote?: RemoteFile | undefined;
  /** The digest that a remote file must have: another one is not stored. Null: it is not sent before it is known. */
  expected?: Sha256 | null | undefined;
}

/**
 * What weight files hold, in their order: those of this machine as `readWeightFiles` has it, remote ones by
 * the digests that their source lists. What has none there is fetched once to be hashed. Throws as
 * `readWeightFiles` does, and what the source throws.
 */
export async function readWeights(
  wanted: readonly WantedWeight[],
  options: ReadOptions,
): Promise<WeightContent[]> {
  const local = wanted.filter(({ remote }) => remote === undefined);
  const contents = await readWeightFiles(local, options);
  const remotes = wanted.flatMap(({ remote, expected, cut }) =>
    remote === undefined ? [] : [{ remote, expected, cut }],
  );
  const read = await hashRemotes(remotes, options);
  let at = 0;
  return wanted.map(({ remote, cut, choose }) => {
    if (remote === undefined) {
      const content = contents[at++];
      if (content === undefined) throw new Error("a weight file was not read");
      return content;
    }
    const { uri, digest, size } = remote;
    if (digest === undefined || size === undefined) throw new Error(`${uri} was not hashed`);
    const choice = choose(size);
    if (choice === "gzip" || choice === "zstd") {
      throw new OcibundleError(
        "usage",
        `--compression ${choice}: ${uri} is stored uncompressed, without a download`,
        { hint: "remove --compression, or download the files and lock the directory" },
      );
    }
    const parts = cut === undefined ? undefined : remote.parts?.digests;
    return remoteContent(digest, size, { read: read.has(remote), parts });
  });
}
