import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type LockRequest, writeLock } from "../../../../src/model/lock/lock.ts";
import { lockPartsOf } from "../../../../src/model/parts/lock-parts.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { smallModel, writeTensors } from "../../../support/tensors/tensor-file.ts";
import { jobIn } from "../../../support/model/job.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { lockRequest } from "../../../support/model/lock.ts";

test("parts are locked where that is asked for, hashed once, and kept", async () => {
  const cwd = await temporaryDirectory();
  const path = join(cwd, "weights/model.safetensors");
  writeTensors(path, smallModel());
  writeFileSync(join(cwd, "weights/tokenizer.json"), "{}");
  const lock = (more: Partial<LockRequest> = {}) => writeLock(jobIn(cwd), lockRequest(more));
  const text = () => readFileSync(join(cwd, "weights.lock"), "utf8");

  const plain = await lock({ compression: "none" });
  expect(text()).not.toContain("ocibundle.parts");
  const before = text();

  // The whole is known already, its parts are not.
  const split = await lock({ compression: "none", parts: true });
  expect(split).toMatchObject({ changed: true, read: 1, unchanged: 1 });
  const [model, tokenizer] = split.files;
  if (model === undefined || tokenizer === undefined) throw new Error("there are two files");
  expect(lockPartsOf(tokenizer, "it")).toBeUndefined();
  expect({ ...model, "ocibundle.parts": undefined }).toEqual({
    ...plain.files[0],
    "ocibundle.parts": undefined,
  } as never);
  const parts = lockPartsOf(model, "it");
  expect(parts?.split).toMatchObject({
    by: "tree/1",
    least: 4 * 1024 * 1024,
    most: 512 * 1024 * 1024,
  });
  // So small a model has few parts.
  expect(parts?.parts).toHaveLength(15);

  // The parts are the bytes of the file, in the order that the segments say.
  const bytes = readFileSync(path);
  const stored = parts?.parts.map(({ size }) => Buffer.alloc(size)) ?? [];
  let front = 0;
  for (const [part, offset, length] of parts?.segments ?? []) {
    bytes.copy(stored[part] ?? Buffer.alloc(0), offset, front, front + length);
    front += length;
  }
  expect(front).toBe(bytes.length);
  expect(stored.map((part) => digestOf(part))).toEqual(
    parts?.parts.map(({ digest }) => digest) ?? [],
  );

  // One line for each list, however long.
  expect(text().split("\n").length).toBe(before.split("\n").length + 9);

  // Asked again, nothing is read and nothing is written; parts stay until they are taken out.
  const whole = text();
  expect(await lock()).toMatchObject({ changed: false, read: 0, unchanged: 2 });
  expect(text()).toBe(whole);
  // A lock of its own is made from what is known.
  expect(await lock({ output: "other.lock", parts: true, compression: "none" })).toMatchObject({
    read: 0,
  });
  await lock({ parts: false });
  expect(JSON.parse(text())).toMatchObject({
    files: (JSON.parse(before) as { files: object[] }).files,
  });
}, 60_000);

test("a version keeps the numbers of the one before, and the parts that did not change", async () => {
  const cwd = await temporaryDirectory();
  const path = join(cwd, "weights/model.safetensors");
  const lock = async () => {
    const { files } = await writeLock(jobIn(cwd), lockRequest({ parts: true }));
    const [model] = files;
    const parts = model === undefined ? undefined : lockPartsOf(model, "it");
    if (parts === undefined) throw new Error("the model has parts");
    return parts;
  };
  const [changed] = ["layers.7.attn.q.weight"];
  writeTensors(path, smallModel());
  const first = await lock();
  writeTensors(path, smallModel(), { changed: [changed ?? ""], metadata: { note: "second" } });
  const second = await lock();
  expect(second.split).toEqual(first.split);
  const known = new Set(first.parts.map(({ digest }) => digest));
  const news = second.parts.filter(({ digest }) => !known.has(digest));
  // The header, and the tensor with those that it is stored with.
  expect(news).toHaveLength(2);
  expect(news.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(6 * 1024 * 1024);
}, 60_000);
