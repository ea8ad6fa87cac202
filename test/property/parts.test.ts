import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Segment, Segments } from "../../src/model/format/segment-list.ts";
import { parseRecipe, serializeRecipe } from "../../src/model/parts/recipe.ts";
import { recipeOf, segmentsOf } from "../../src/model/parts/segments.ts";
import { asItIs } from "../../src/model/parts/parts-artifact.ts";
import { partHasher } from "../../src/model/parts/part-hasher.ts";
import { wholeParts } from "../../src/model/parts/whole-parts.ts";
import { partsOfFile } from "../../src/model/parts/tree-numbers.ts";
import { type PartPlaces, rangeInFile } from "../../src/runtime/part-places.ts";
import { readTensors } from "../../src/model/tensors/read-tensors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { gguf, readerOf, safetensors, zip } from "../support/tensors/files.ts";
import { fewerRuns } from "../support/property-runs.ts";

const names = fc.array(fc.constantFrom("a", "b", "layers", "0", "10", "weight"), {
  minLength: 1,
  maxLength: 5,
});

const tensors = fc.uniqueArray(
  fc.tuple(
    names.map((path) => path.join(".")),
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
  ),
  { minLength: 1, maxLength: 30, selector: ([name]) => name },
);

const files = fc.oneof(
  tensors.map((list) => safetensors(list)),
  tensors.map((list) => zip(list.map(([name, data]) => ({ name, data })))),
  tensors.map((list) => {
    let offset = 0;
    const placed = list.map(([name, { length }]) => {
      const tensor = { name, values: length, offset };
      offset += Math.ceil(length / 32) * 32;
      return tensor;
    });
    return gguf(placed, offset);
  }),
  fc.uint8Array({ minLength: 1, maxLength: 900 }),
);

const numbers = fc
  .record({ least: fc.integer({ min: 1, max: 600 }), factor: fc.integer({ min: 1, max: 16 }) })
  .map(({ least, factor }) => ({ least, most: least * factor }));

/** The bytes of a part, out of its file. */
const partOf = (file: Uint8Array, places: PartPlaces): Buffer =>
  Buffer.concat(
    Array.from(places, (place) => {
      const { start, end } = rangeInFile(place);
      return file.subarray(start, end);
    }),
  );

test("any file gives a recipe, and the recipe with its parts gives the same file", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(files, { minLength: 1, maxLength: 3 }), numbers, async (all, by) => {
      const stored = new Map<string, Uint8Array>();
      const split = await Promise.all(
        all.map(async (bytes, at) => {
          const found = await readTensors(readerOf(bytes), bytes.byteLength);
          const plan = partsOfFile({ size: bytes.byteLength, tensors: found }, by);
          const digests = plan.map((places) => {
            const part = partOf(bytes, places);
            const digest = digestOf(part);
            stored.set(digest, part);
            return digest;
          });
          const file = { name: `f${at}`, dest: `/f${at}`, digest: digestOf(bytes) };
          return { ...file, size: bytes.byteLength, ...segmentsOf(plan, digests) };
        }),
      );
      const recipe = recipeOf({ by: "tree/1", ...by }, split);
      const read = parseRecipe(serializeRecipe(recipe, "it"), "it");
      for (const [at, { segments }] of read.files.entries()) {
        const pieces = Array.from(segments, ({ part, offset, length }) =>
          stored.get(read.parts[part]?.[0] ?? "")?.subarray(offset, offset + length),
        );
        const whole = Buffer.concat(pieces.map((piece) => piece ?? new Uint8Array(0)));
        expect(whole.equals(Buffer.from(all[at] ?? []))).toBe(true);
      }
      // Made again, it is the same: nothing but the files and the numbers decides.
      expect(serializeRecipe(recipe, "it")).toEqual(serializeRecipe(read, "it"));
    }),
    fewerRuns(0.25),
  );
});

test("no bytes make a parser fail, or find tensors that do not tile the file", async () => {
  const damaged = fc
    .tuple(files, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }))
    .map(([bytes, changes]) => {
      const copy = Uint8Array.from(bytes);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return copy;
    });
  await fc.assert(
    fc.asyncProperty(damaged, async (bytes) => {
      const found = await readTensors(readerOf(bytes), bytes.byteLength);
      if (found === undefined) return;
      const extents = [...found.header, ...found.tensors].toSorted((a, b) => a.start - b.start);
      expect(extents.every(({ start }, at) => start === (extents[at - 1]?.end ?? 0))).toBe(true);
      expect(extents.at(-1)?.end).toBe(bytes.byteLength);
    }),
    fewerRuns(0.25),
  );
});

test("what a range has of segments is what a walk over all of them finds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(9), { maxLength: 20 }),
      fc.nat(100),
      fc.nat(40),
      (lengths, start, length) => {
        const all = lengths.flatMap((bytes, index) =>
          Array.from({ length: bytes }, (_, at) => `${index}:${at}`),
        );
        const segments = Segments.of(lengths.map((bytes, index) => [index, 0, bytes] as const));
        const found = segments.within({ start, end: start + length });
        expect(found.every((piece) => piece.start < piece.end)).toBe(true);
        expect(
          found.flatMap((piece) =>
            Array.from(
              { length: piece.end - piece.start },
              (_, at) => `${piece.segment.part}:${piece.start + at}`,
            ),
          ),
        ).toEqual(all.slice(start, start + length));
      },
    ),
    fewerRuns(0.5),
  );
});

/** Files with tensors of the same bytes, so that one part lies in a file several times, cut in several ways. */
const repeating = fc.uniqueArray(
  fc.tuple(
    names.map((path) => path.join(".")),
    fc.integer({ min: 1, max: 40 }).map((size) => new Uint8Array(size)),
  ),
  { minLength: 1, maxLength: 30, selector: ([name]) => name },
);

test("the parts of any file can be held against it, and others are not its own", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        files,
        repeating.map((list) => safetensors(list)),
      ),
      numbers,
      fc.nat(),
      fc.nat(),
      async (bytes, by, first, second) => {
        const found = await readTensors(readerOf(bytes), bytes.byteLength);
        const plan = partsOfFile({ size: bytes.byteLength, tensors: found }, by);
        const gather = (places: PartPlaces): Buffer => partOf(bytes, places);
        const { parts, segments } = segmentsOf(
          plan,
          plan.map((places) => digestOf(gather(places))),
        );
        const stored = new Map(plan.map((places) => [digestOf(gather(places)), gather(places)]));
        const split = { by: "tree/1" };
        const isItsOwn = (list: readonly Segment[]): boolean => {
          const whole = wholeParts({
            split,
            parts: parts.map(asItIs),
            segments: Segments.of(list),
          });
          if (whole === undefined) return false;
          const hasher = partHasher(whole.plan);
          for (let at = 0; at < bytes.byteLength; at += 37)
            hasher.update(bytes.subarray(at, at + 37));
          const hashed = hasher.digests();
          expect(hashed).toEqual(whole.plan.map((places) => digestOf(gather(places))));
          return hashed.every((digest, at) => digest === whole.digests[at]);
        };
        expect(isItsOwn(segments.toJSON())).toBe(true);
        const swapped = segments.toJSON();
        const [a, b] = [first % segments.length, second % segments.length];
        [swapped[a], swapped[b]] = [swapped[b], swapped[a]] as [Segment, Segment];
        const made = Buffer.concat(
          swapped.map(([part, offset, length]) =>
            (stored.get(parts[part]?.[0] ?? "sha256:") ?? Buffer.alloc(0)).subarray(
              offset,
              offset + length,
            ),
          ),
        );
        if (!made.equals(bytes)) expect(isItsOwn(swapped)).toBe(false);
      },
    ),
    fewerRuns(1),
  );
});
