import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localPathHint } from "../../../../src/image/source/local-path.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-local-"));
  await mkdir(join(directory, "layout"));
  await writeFile(join(directory, "layout", "oci-layout"), "{}");
  await mkdir(join(directory, "weights"));
  await writeFile(join(directory, "llama.tar"), "");
});
afterAll(() => rm(directory, { recursive: true }));

test.each([
  ["layout", "; use oci:layout for the local layout"],
  ["layout:v1", "; use oci:layout:v1 for the local layout"],
  ["weights", ", not as the local directory"],
  ["llama.tar", "; use oci-archive:llama.tar or docker-archive:llama.tar for the local archive"],
])("what lies here as %s is told", async (text, end) => {
  expect(await localPathHint(text, directory)).toBe(
    `"${text}" was read as a registry reference${end}`,
  );
});

test.each(["llama", "weights:v1", "registry.example.com/acme/llama:v1"])(
  "nothing is told where nothing lies as %s",
  async (text) => {
    expect(await localPathHint(text, directory)).toBeUndefined();
  },
);
