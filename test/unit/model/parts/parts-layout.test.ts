import { expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { partsLayout } from "../../../../src/model/layout/parts.ts";
import { digest } from "../../../support/model/fixtures.ts";

test("a part that a lock stores in another form is refused before anything is sent", () => {
  const file = {
    name: "a",
    dest: "/src/a",
    digest: digest("e"),
    size: 10,
    source: () => Promise.resolve({ kind: "bytes", bytes: new Uint8Array(10) } as const),
    parts: {
      split: { by: "tree/1", least: 1_048_576, most: 536_870_912 },
      parts: [
        {
          digest: digest("a"),
          size: 6,
          encoding: "none",
          stored: { digest: digest("a"), size: 6 },
        },
        {
          digest: digest("b"),
          size: 4,
          encoding: "zstd",
          stored: { digest: digest("d"), size: 3 },
        },
      ],
      segments: Segments.of([
        [0, 0, 6],
        [1, 0, 4],
      ]),
    },
  } as const;
  const lay = () =>
    partsLayout([{ ...file, parts: { ...file.parts, parts: [...file.parts.parts] } }]);
  expect(lay).toThrow('weight "a": part sha256:bbbbbbbbbbbb is stored as zstd in the lock');
});
