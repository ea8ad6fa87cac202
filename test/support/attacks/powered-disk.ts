import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { succeeds } from "../succeeds.ts";

/** A disk of its own for a test, which can lose its power. */
export interface PoweredDisk {
  /** Where it is mounted, also after a power cut. */
  path: string;
  /** Writes all that was done so far to the disk. */
  flush(): void;
  /**
   * Takes the power away: of what was not flushed, only what the kernel happened to write is left. No
   * process may use the disk meanwhile.
   */
  cutPower(): void;
  remove(): void;
}

const bytes = 96 * 1024 * 1024;

// The kernel guards programs that forget to flush before they rename; on other disks nothing does.
const options = "loop,data=writeback,noauto_da_alloc";

function must(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

/** An empty ext4 file system; undefined where its tools are missing or this user may mount none. */
export function mountExt4(): PoweredDisk | undefined {
  const directory = mkdtempSync(join(tmpdir(), "ocibundle-power-"));
  const image = join(directory, "image");
  const path = join(directory, "mounted");
  mkdirSync(path);
  const remove = (): void => {
    spawnSync("umount", [path], { stdio: "ignore" });
    rmSync(directory, { recursive: true, force: true });
  };
  writeFileSync(image, "");
  truncateSync(image, bytes);
  if (!succeeds("mkfs.ext4", "-q", image) || !succeeds("mount", "-o", options, image, path)) {
    remove();
    return undefined;
  }
  return {
    path,
    flush: () => must("sync", "--file-system", path),
    cutPower() {
      // The image has what was written to the device; the rest is in the memory of the mount alone.
      const left = join(directory, "left");
      copyFileSync(image, left);
      must("umount", path);
      rmSync(image);
      copyFileSync(left, image);
      rmSync(left);
      must("mount", "-o", options, image, path);
    },
    remove,
  };
}
