import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { bringBack, exchange, hasPutAside } from "../../../../src/store/placement/exchange.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const held = ".ocibundle-sync/old/src/.ocibundle-held";

test("what a killed run has put aside gets its name back, and nothing that has one again is touched", async () => {
  const root = await temporaryDirectory();
  await writeFiles(root, {
    [`${held}/llm/weights`]: "old",
    [`${held}/vae/weights`]: "older",
    "src/vae/weights": "new",
  });
  expect(await hasPutAside(root)).toBe(true);
  await bringBack(root);
  expect(await readFile(join(root, "src/llm/weights"), "utf8")).toBe("old");
  expect(await readFile(join(root, "src/vae/weights"), "utf8")).toBe("new");
});

test("what is put aside comes back below the directory alone, whatever its name, and over no link", async () => {
  const [root, elsewhere] = [await temporaryDirectory(), await temporaryDirectory()];
  const target = join(elsewhere, "planted");
  await writeFiles(root, { [`.ocibundle-sync/old/${encodeURIComponent(target)}`]: "hostile" });
  await bringBack(root);
  expect(existsSync(target)).toBe(false);

  await writeFiles(root, { [`${held}/planted`]: "hostile" });
  await symlink(elsewhere, join(root, "src"));
  await expect(bringBack(root)).rejects.toThrow("is a symbolic link");
  expect(existsSync(target)).toBe(false);
});

test("one directory takes the place of another, which is where that was", async () => {
  const root = await temporaryDirectory();
  await writeFiles(root, { "src/llm/weights": "old", "staged/weights": "new" });
  await exchange(join(root, "src/llm"), join(root, "staged"), { root, parts: ["src", "llm"] });
  expect(await readFile(join(root, "src/llm/weights"), "utf8")).toBe("new");
  expect(await readFile(join(root, "staged/weights"), "utf8")).toBe("old");
});

test("where the system has no such call they are renamed one after the other, and nothing stays aside", async () => {
  const root = await temporaryDirectory();
  await writeFiles(root, { "src/llm/weights": "old", "staged/weights": "new" });
  const from = { root, parts: ["src", "llm"] };
  const system = Object.getOwnPropertyDescriptor(process, "platform") ?? {};
  try {
    Object.defineProperty(process, "platform", { ...system, value: "darwin" });
    await exchange(join(root, "src/llm"), join(root, "staged"), from);
  } finally {
    Object.defineProperty(process, "platform", system);
  }
  expect(await readFile(join(root, "src/llm/weights"), "utf8")).toBe("new");
  expect(await readFile(join(root, "staged/weights"), "utf8")).toBe("old");
  expect(await readdir(join(root, held))).toEqual([]);
});
