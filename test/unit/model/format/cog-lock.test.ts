import { expect, test } from "bun:test";
import { isCogLock, parseAnyLock } from "../../../../src/model/format/cog-lock.ts";
import { bytesOf, digest, entry, lockOf } from "../../../support/model/fixtures.ts";

const cog = (files: object[], more: object = {}) => ({
  version: 1,
  envelopeFormat: "",
  weights: [
    {
      name: "resnet50",
      target: "/src/weights/resnet50",
      importedAt: "2026-06-11T20:45:55Z",
      files,
      ...more,
    },
  ],
});

test("a lock of Cog's today lists the files of its weights", () => {
  const lock = cog([{ path: "a/config.json", size: 3, digest: digest("a"), layer: digest("b") }]);
  expect(parseAnyLock(bytesOf(lock), "weights.lock")).toEqual({
    version: "1",
    created: "2026-06-11T20:45:55Z",
    files: [
      {
        name: "resnet50/a/config.json",
        dest: "/src/weights/resnet50/a/config.json",
        digestOriginal: digest("a"),
        digest: digest("b"),
        size: 3,
        sizeUncompressed: 3,
        mediaType: "application/vnd.cog.weights.layer.v1",
      },
    ],
  });
});

test.each([["application/vnd.cog.weights.layer.v1"], ["application/vnd.cog.weight.layer.v1"]])(
  'a lock of version "1.0" with layers of type %s lists its files',
  (mediaType) => {
    const lock = { ...lockOf({ ...entry("a"), mediaType }), version: "1.0" };
    expect(parseAnyLock(bytesOf(lock), "weights.lock").files).toMatchObject([entry("a")]);
  },
);

test("our own lock is read as before", () => {
  expect(parseAnyLock(bytesOf(lockOf(entry("a"))), "weights.lock").files).toEqual([entry("a")]);
});

test.each([
  [cog([{ path: "../x", size: 3, digest: digest("a"), layer: digest("b") }], { target: "/" })],
  [cog([{ path: "x", size: -1, digest: digest("a"), layer: digest("b") }])],
  [cog([{ path: "x", size: 1, digest: "md5:1", layer: digest("b") }])],
  [{ version: 2 }],
])("refuses %j", (lock) => {
  expect(() => parseAnyLock(bytesOf(lock), "weights.lock")).toThrow(
    expect.objectContaining({ code: "file" }),
  );
});

test("only locks of Cog's are taken for such", () => {
  const locks = [cog([]), { version: "1.0", files: [] }];
  expect(locks.map((lock) => isCogLock(bytesOf(lock)))).toEqual([true, true]);
  const others = [lockOf(entry("a")), { version: 1 }, { version: 2, weights: [] }, [], "version"];
  expect(others.map((other) => isCogLock(bytesOf(other)))).toEqual(others.map(() => false));
  expect(isCogLock(new TextEncoder().encode("notes"))).toBe(false);
});
