import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkLock, type LockRequest, writeLock } from "../../../../src/model/lock/lock.ts";
import { lockPartsOf } from "../../../../src/model/parts/lock-parts.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { smallModel, writeTensors } from "../../../support/tensors/tensor-file.ts";
import { failureOf } from "../../../support/failure.ts";
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
  for (const { part, offset, length, position } of parts?.segments ?? []) {
    expect(position).toBe(front);
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

/** A file in parts and its lock, whose member for them can be changed. */
async function lockedParts() {
  const cwd = await temporaryDirectory();
  writeTensors(join(cwd, "weights/model.safetensors"), smallModel());
  const job = jobIn(cwd);
  await writeLock(job, lockRequest({ parts: true }));
  const path = join(cwd, "weights.lock");
  return {
    job,
    text: () => readFileSync(path, "utf8"),
    change(change: (parts: Record<string, unknown>) => unknown): void {
      const lock = JSON.parse(readFileSync(path, "utf8")) as {
        files: { "ocibundle.parts": Record<string, unknown> }[];
      };
      for (const file of lock.files) {
        file["ocibundle.parts"] = change(file["ocibundle.parts"]) as Record<string, unknown>;
      }
      writeFileSync(path, JSON.stringify(lock));
    },
  };
}

test("parts that can't be read are written anew with a warning, as the message about them says", async () => {
  const { job, text, change } = await lockedParts();
  const right = text();
  for (const [odd, fault] of [
    [null, "must be an object"],
    [{}, "split: is missing"],
    [
      { split: { by: "tree/1" }, parts: [["f".repeat(64), 1, "+new"]], segments: [] },
      "parts.0: must be a digest, a size and an encoding",
    ],
  ] as const) {
    change(() => odd);
    const message = `weights.lock: entry "model": ocibundle.parts: ${fault}`;
    expect(await failureOf(checkLock(job, lockRequest()))).toMatchObject({
      code: "file",
      message,
      hint: "run `ocibundle lock` again",
    } as never);
    expect(await writeLock(job, lockRequest())).toMatchObject({ changed: true, read: 0 });
    expect(job.warnings().at(-1)).toBe(`${message}: ignored`);
    expect(JSON.parse(text())).toMatchObject({
      files: (JSON.parse(right) as { files: object[] }).files,
    });
  }
}, 60_000);

test("parts that are not those of the file are found by --check", async () => {
  const { job, change } = await lockedParts();
  expect((await checkLock(job, lockRequest())).changed).toEqual([]);
  const drift = [{ name: "model", what: ["parts"] }];
  change((parts) => ({ ...parts, segments: (parts["segments"] as unknown[]).toReversed() }));
  expect((await checkLock(job, lockRequest())).changed).toEqual(drift as never);
  await writeLock(job, lockRequest());
  expect((await checkLock(job, lockRequest())).changed).toEqual([]);
  change(({ parts, ...rest }) => {
    const [[, size] = [], ...others] = parts as [string, number][];
    return { ...rest, parts: [["a".repeat(64), size], ...others] };
  });
  expect((await checkLock(job, lockRequest())).changed).toEqual(drift as never);
  // A rule that is not known cannot be followed, but what it made is held against the file.
  change((parts) => ({ ...parts, split: { by: "other/1" } }));
  expect((await checkLock(job, lockRequest())).changed).toEqual(drift as never);
  await writeLock(job, lockRequest({ parts: true }));
  change((parts) => ({ ...parts, split: { by: "other/1" } }));
  expect((await checkLock(job, lockRequest())).changed).toEqual([]);
  change((parts) => ({ ...parts, segments: (parts["segments"] as unknown[]).toReversed() }));
  expect((await checkLock(job, lockRequest())).changed).toEqual(drift as never);
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

/** Two tensors that lie on each other, up to the end of a file of so many bytes. */
const overlapping = (size: number): Buffer => {
  const headerBytes = 200;
  const end = size - 8 - headerBytes;
  const one = { dtype: "U8", shape: [end], data_offsets: [0, end] };
  const length = Buffer.alloc(8);
  length.writeUInt32LE(headerBytes);
  return Buffer.concat([
    length,
    Buffer.from(JSON.stringify({ a: one, b: one }).padEnd(headerBytes)),
  ]);
};

test("a large file whose header is no header of its format is told: it is not split by its tensors", async () => {
  const job = jobIn(await temporaryDirectory());
  const write = (name: string, size: number, content: Uint8Array): void => {
    mkdirSync(join(job.cwd, "weights"), { recursive: true });
    const path = join(job.cwd, "weights", name);
    writeFileSync(path, content);
    truncateSync(path, size);
  };
  const large = 64 * 1024 * 1024;
  write("odd.safetensors", large, overlapping(large));
  write("small.safetensors", large - 1, overlapping(large - 1));
  write("odd.gguf", 4 * large, Buffer.from("no GGUF"));
  write("odd.bin", large, Buffer.from("no name of tensors"));
  await writeLock(job, lockRequest({ parts: true, compression: "none" }));
  expect(job.warnings()).toEqual([
    'weight "odd.gguf": its header is no valid one of gguf, or too large: it is split by size alone',
    'weight "odd.safetensors": its header is no valid one of safetensors, or too large: it is stored whole',
  ]);
}, 60_000);
