import { expect, test } from "bun:test";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { writingCode, writingReason } from "../../../src/runtime/file-faults.ts";
import { errorOf } from "../../support/failure.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

test.skipIf(process.platform !== "linux")(
  "where the kernel's own file systems take no new file, this machine refuses",
  async () => {
    for (const path of ["/proc/ocibundle", "/sys/ocibundle"]) {
      const failures = [await errorOf(mkdir(path)), await errorOf(open(path, "wx"))];
      for (const failure of failures) expect(writingCode(failure)).toBe("system");
    }
    const failure = await errorOf(mkdir("/proc/ocibundle"));
    expect(writingReason(failure)).toBe("the file system does not allow new files there");
  },
);

test("a file that is gone, or whose directory is missing, is no refusal of this machine", async () => {
  const directory = await temporaryDirectory();
  for (const path of ["gone", "missing/new"]) {
    const failure = await errorOf(open(join(directory, path), "r+"));
    expect(writingCode(failure)).toBe("file");
    expect(writingReason(failure)).toBe("no such file or directory");
  }
});
