import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { succeeds } from "../succeeds.ts";

export interface Disk {
  /** Where it is mounted. */
  path: string;
  remove(): void;
}

/** A file system of so many bytes; undefined where this user may mount none. */
export function mountTmpfs(bytes: number): Disk | undefined {
  const path = mkdtempSync(join(tmpdir(), "ocibundle-disk-"));
  const remove = (): void => {
    spawnSync("umount", ["--lazy", path], { stdio: "ignore" });
    rmSync(path, { recursive: true, force: true });
  };
  if (succeeds("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path)) {
    return { path, remove };
  }
  remove();
  return undefined;
}

/** A file system that knows reflinks; undefined where its tools are missing or this user may not mount. */
export function mountXfs(): Disk | undefined {
  const directory = mkdtempSync(join(tmpdir(), "ocibundle-xfs-"));
  const image = join(directory, "image");
  const path = mkdtempSync(join(directory, "mounted-"));
  const remove = (): void => {
    spawnSync("umount", ["--lazy", path], { stdio: "ignore" });
    rmSync(directory, { recursive: true, force: true });
  };
  writeFileSync(image, "");
  truncateSync(image, 320 * 1024 * 1024);
  if (succeeds("mkfs.xfs", "-q", image) && succeeds("mount", "-o", "loop", image, path)) {
    return { path, remove };
  }
  remove();
  return undefined;
}
