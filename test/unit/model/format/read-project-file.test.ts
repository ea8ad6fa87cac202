import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectImage, readProjectFile } from "../../../../src/model/format/read-project-file.ts";

describe("in a directory", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "ocibundle-project-"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  test("none is no error", async () => {
    expect(await readProjectFile(directory)).toBeUndefined();
    await expect(projectImage(directory)).rejects.toMatchObject({
      code: "usage",
      message: "no reference was specified and no project file exists",
    });
  });

  test("cog.yaml is read, and ocibundle.yaml before it", async () => {
    writeFileSync(join(directory, "cog.yaml"), "image: by-cog");
    expect(await projectImage(directory)).toBe("by-cog");
    writeFileSync(join(directory, "ocibundle.yaml"), "image: by-ocibundle");
    expect(await projectImage(directory)).toBe("by-ocibundle");
  });

  test("one without an image says so", async () => {
    writeFileSync(join(directory, "cog.yaml"), "weights: []");
    await expect(projectImage(directory)).rejects.toThrow('cog.yaml" has no "image');
  });

  test("a directory of that name is a typed error", async () => {
    mkdirSync(join(directory, "cog.yaml"));
    await expect(readProjectFile(directory)).rejects.toMatchObject({ code: "file" });
  });
});
