import { describe, expect, test } from "bun:test";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectTensors } from "../../../../src/model/jobs/inspect-tensors.ts";
import { contentOf, noise, putParts, putPlain } from "../../../support/model/parts-artifact.ts";
import { jobIn } from "../../../support/model/job.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

type Tensor = [name: string, dtype: string, bytes: Uint8Array<ArrayBuffer>];

/** The header of a safetensors file, and what follows it. */
function safetensors(tensors: readonly Tensor[]): Uint8Array<ArrayBuffer>[] {
  let at = 0;
  const entries = tensors.map(([name, dtype, { byteLength }]) => {
    const data_offsets = [at, (at += byteLength)];
    return [name, { dtype, shape: [byteLength / (dtype === "U8" ? 1 : 2)], data_offsets }];
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return [new Uint8Array(Buffer.concat([length, padded])), ...tensors.map(([, , bytes]) => bytes)];
}

const file = (name: string, tensors: readonly Tensor[]) => {
  return { name, pieces: safetensors(tensors) };
};

const [one, two, three] = [noise(4000, 1), noise(6000, 2), noise(5000, 3)];
const names = (tensors: readonly { name: string }[] | undefined) =>
  tensors?.map(({ name }) => name);

/** A file with two small tensors in one part. */
const pooled = (pool: Uint8Array<ArrayBuffer>) => {
  const [header = one] = safetensors([
    ["a", "U8", one],
    ["large", "U8", two],
    ["b", "U8", one],
  ]);
  const pieces = [
    header,
    { part: pool, start: 0, end: 4000 },
    two,
    { part: pool, start: 4000, end: 8000 },
  ];
  return { name: "a.safetensors", pieces };
};

async function bench() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const at = (tag: string): string => `${registry.host}/acme/model:${tag}`;
  const diff = async (a: string, b: string) =>
    (await diffModels(job, at(a), at(b), { tensors: true })).tensors;
  return { registry, job, at, diff };
}

describe("the tensors of two models", () => {
  test("without bytes are compared as well, and listed where they belong", async () => {
    const { registry, diff, at, job } = await bench();
    const none = noise(0, 1);
    const before: Tensor[] = [
      ["gone", "U8", none],
      ["kept", "U8", none],
      ["a", "U8", one],
      ["type", "U8", none],
    ];
    const after: Tensor[] = [
      ["a", "U8", one],
      ["kept", "U8", none],
      ["type", "F16", none],
      ["new", "U8", none],
    ];
    const put = (of: readonly Tensor[], tag: string) => {
      const pieces = safetensors(of).filter(({ byteLength }) => byteLength > 0);
      return putParts(registry, "acme/model", [{ name: "a.safetensors", pieces }], { tag });
    };
    await put(before, "v1");
    await put(after, "v2");
    const tensors = await diff("v1", "v2");
    expect(names(tensors?.added)).toEqual(["new"]);
    expect(names(tensors?.removed)).toEqual(["gone"]);
    expect(tensors?.changed.map(({ after: { name }, by }) => [name, by])).toEqual([
      ["type", "type"],
    ]);
    expect(tensors?.same).toEqual({ tensors: 2, bytes: 4000 });
    const { files } = await inspectTensors(job, at("v1"));
    expect(files[0]?.tensors?.map(({ name, bytes }) => [name, bytes])).toEqual([
      ["gone", 0],
      ["kept", 0],
      ["a", 4000],
      ["type", 0],
    ]);
  });

  test("in parts are added, removed, changed or the same, in whatever file they are", async () => {
    const { registry, diff, at, job } = await bench();
    const before: Tensor[] = [
      ["same", "U8", one],
      ["changed", "U8", two],
      ["retyped", "F16", three],
      ["gone", "U8", one],
    ];
    const after: Tensor[] = [
      ["same", "U8", one],
      ["changed", "U8", noise(6000, 9)],
      ["retyped", "BF16", three],
    ];
    const put = (tag: string, files: Parameters<typeof putParts>[2]) =>
      putParts(registry, "acme/model", files, { tag });
    await put("v1", [file("a.safetensors", before), { name: "config.json", pieces: [one] }]);
    await put("v2", [
      file("1.safetensors", after),
      file("2.safetensors", [["new", "U8", two]]),
      { name: "config.json", pieces: [two] },
    ]);
    const tensors = await diff("v1", "v2");
    expect(names(tensors?.added)).toEqual(["new"]);
    expect(names(tensors?.removed)).toEqual(["gone"]);
    expect(tensors?.changed.map(({ after: { name }, by }) => [name, by])).toEqual([
      ["changed", "bytes"],
      ["retyped", "type"],
    ]);
    expect(tensors?.same).toEqual({ tensors: 1, bytes: 4000 });
    expect(tensors?.uncompared).toEqual([]);
    expect(names(tensors?.unread.a)).toEqual(["config.json"]);
    expect((await diffModels(job, at("v1"), at("v2"))).tensors).toBeNull();
  });

  test("that share a part are the same where it is, and not compared where it is another", async () => {
    const { registry, diff } = await bench();
    await putParts(registry, "acme/model", [pooled(noise(8000, 5))], { tag: "v1" });
    await putParts(registry, "acme/model", [pooled(noise(8000, 5))], { tag: "again" });
    await putParts(registry, "acme/model", [pooled(noise(8000, 6))], { tag: "v2" });
    expect((await diff("v1", "again"))?.same).toEqual({ tensors: 3, bytes: 14_000 });
    const tensors = await diff("v1", "v2");
    expect(tensors?.same).toEqual({ tensors: 1, bytes: 6000 });
    expect(tensors?.changed).toEqual([]);
    expect(names(tensors?.uncompared)).toEqual(["a", "b"]);
  });

  test("of plain files are the same where the file is, and else compared by type alone", async () => {
    const { registry, diff } = await bench();
    const v1 = file("a.safetensors", [
      ["a", "U8", one],
      ["b", "U8", two],
    ]);
    const v2 = file("a.safetensors", [
      ["a", "U8", one],
      ["b", "F16", two],
    ]);
    const whole = { ...v1, pieces: [contentOf(v1)] };
    for (const [tag, put] of [
      ["v1", whole],
      ["same", whole],
      ["v2", { ...v2, pieces: [contentOf(v2)] }],
    ] as const) {
      await putPlain(registry, "acme/model", put, { tag });
    }
    expect((await diff("v1", "same"))?.same).toEqual({ tensors: 2, bytes: 10_000 });
    const tensors = await diff("v1", "v2");
    expect(tensors?.changed.map(({ by }) => by)).toEqual(["type"]);
    expect(names(tensors?.uncompared)).toEqual(["a"]);
    // In parts it is the same file, as the recipe says and as files are compared.
    await putParts(registry, "acme/model", [v1], { tag: "parts" });
    for (const inParts of [await diff("v1", "parts"), await diff("parts", "v1")]) {
      expect(inParts?.same).toEqual({ tensors: 2, bytes: 10_000 });
      expect(inParts?.uncompared).toEqual([]);
    }
    expect(names((await diff("v2", "parts"))?.uncompared)).toEqual(["a"]);
  });
});
