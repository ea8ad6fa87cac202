import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOwnFile } from "../../../src/runtime/trusted-file.ts";

let directory: string;
const path = (): string => join(directory, "file");

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-trusted-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a small file that is too large, or that others may write, is not read", () => {
  writeFileSync(path(), "12345");
  expect(readOwnFile(path(), { maxBytes: 4 })).toBeUndefined();
  expect(readOwnFile(path(), { maxBytes: 5 })).toHaveLength(5);
  for (const mode of [0o664, 0o646, 0o666]) {
    chmodSync(path(), mode);
    expect(readOwnFile(path(), { maxBytes: 5 })).toBeUndefined();
    expect(readOwnFile(path(), { maxBytes: 5, ofAnyone: true })).toHaveLength(5);
  }
});
