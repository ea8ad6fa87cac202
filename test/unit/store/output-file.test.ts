import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeOutputFile } from "../../../src/store/output-file.ts";

const memory = "/dev/shm";
const directory = existsSync(memory) ? mkdtempSync(join(memory, "ocibundle-output-")) : undefined;
afterAll(() => {
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

test.skipIf(directory === undefined)(
  "a new file in /dev/shm is a file, not a device (needs /dev/shm)",
  async () => {
    const path = join(directory ?? "", "weights.lock");
    for (const text of ["first", "second"]) {
      await writeOutputFile(path, new TextEncoder().encode(text), "write elsewhere");
      expect(readFileSync(path, "utf8")).toBe(text);
    }
  },
);
