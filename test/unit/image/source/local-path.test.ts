import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localPathHint } from "../../../../src/image/source/local-path.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocibundle-local-"));
  await mkdir(join(folder, "layout"));
  await writeFile(join(folder, "layout", "oci-layout"), "{}");
  await mkdir(join(folder, "weights"));
  await writeFile(join(folder, "llama.tar"), "");
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["layout", "; use oci:layout for the local layout"],
  ["layout:v1", "; use oci:layout:v1 for the local layout"],
  ["weights", ", not as the local directory"],
  ["llama.tar", "; use oci-archive:llama.tar or docker-archive:llama.tar for the local archive"],
])("what lies here as %s is told", async (text, end) => {
  expect(await localPathHint(text, folder)).toBe(
    `"${text}" was read as a registry reference${end}`,
  );
});

test.each(["llama", "weights:v1", "registry.example.com/acme/llama:v1"])(
  "nothing is told where nothing lies as %s",
  async (text) => {
    expect(await localPathHint(text, folder)).toBeUndefined();
  },
);
