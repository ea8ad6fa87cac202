import { type FileHandle, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Digest } from "../../../oci/digest.ts";
import { directoryMode, readableMode } from "../../../runtime/own-file.ts";
import { writeAll, writeWhole } from "../../../store/verified-write.ts";
import { fileSize, removed } from "./files.ts";
import { contentPath, temporaryDirectory } from "./paths.ts";

/** Bytes by their digest, each once whatever repositories have them. Every one was checked on its way in. */
export interface Content {
  path(digest: Digest): string;
  /** In bytes; undefined when it is not there. */
  size(digest: Digest): Promise<number | undefined>;
  /** Puts bytes, which were checked, under the digest's name. */
  write(bytes: Uint8Array, digest: Digest): Promise<void>;
  remove(digest: Digest): Promise<void>;
}

/** The content below the storage's directory `root`. */
export function openContent(root: string): Content {
  const path = (digest: Digest): string => contentPath(root, digest);
  return {
    path,
    size: (digest) => fileSize(path(digest)),
    async write(bytes, digest) {
      if ((await fileSize(path(digest))) === bytes.byteLength) return;
      const temporary = join(temporaryDirectory(root), crypto.randomUUID());
      await mkdir(dirname(path(digest)), { recursive: true, mode: directoryMode });
      const write = (file: FileHandle): Promise<void> => writeAll(file, bytes, 0);
      await writeWhole(path(digest), temporary, write, readableMode);
    },
    async remove(digest) {
      await removed(path(digest));
    },
  };
}
