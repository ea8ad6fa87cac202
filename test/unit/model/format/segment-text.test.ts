import { describe, expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { cutSegments, withSegmentTexts } from "../../../../src/model/format/segment-text.ts";
import { bytesOf, textOf } from "../../../support/model/fixtures.ts";

/** What a document is read as, whose lists of segments are taken out before it is parsed. */
function read(text: string): { value: unknown; lists: Segments[] } {
  const { bytes, restore } = cutSegments(new TextEncoder().encode(text));
  const value: unknown = restore(JSON.parse(textOf(bytes)));
  const lists: Segments[] = [];
  // Called with what `toJSON` made of a list, and with the list itself as a member of `this`.
  JSON.stringify(value, function (this: Record<string, unknown>, key, member: unknown) {
    if (this[key] instanceof Segments) lists.push(this[key]);
    return member;
  });
  return { value, lists };
}

/** A document with three lists. */
const withLists = (list: (index: 0 | 1 | 2) => unknown) => {
  return { a: list(0), b: { segments: list(1), c: "d" }, e: [list(2), 1] };
};

describe("lists of segments", () => {
  test.each<[string, string, number]>([
    ["are read as numbers", '{"segments":[[0,0,100],[1,20,30],[0,100,9007199254740991]]}', 1],
    ["may have blanks", '{ "segments" :\r\n\t[ [ 0 , 1 , 2 ] , [3,4,5]\n] , "a": [1] }', 1],
    ["may be several", '{"files":[{"segments":[[0,0,1]]},{"x":"ü","segments":[[1,2,3]]}]}', 2],
    ["stay where there are none", '{"segments":[],"a":{"segments":{"segments":"segments"}}}', 0],
    [
      "are told from texts",
      '["segments",[[1,2,3]],"segments: [[1,2,3]]","\\"segments\\":[[1,2,3]]"]',
      0,
    ],
    ["stay lists below another name", '{"a\\"segments":[[1,2,3]],"parts":[[1,2,3]]}', 1],
    ["of four numbers stay lists", '{"segments":[[0,0,1,2]]}', 0],
    ["of two numbers stay lists", '{"segments":[[0,0,1],[1,2]]}', 0],
    ["of lists stay lists", '{"segments":[[0,0,[1]]]}', 0],
    ["of other numbers stay lists", '{"segments":[[0,0,1.5],[0,-1,1e3]]}', 0],
    ["of inexact numbers stay lists", '{"segments":[[0,0,9007199254740993]]}', 0],
    ["of texts stay lists", '{"segments":[["0",0,1]],"a":{"segments":[[null,0,1]]}}', 0],
  ])("%s", (_, text, lists) => {
    const { value, lists: found } = read(text);
    expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text)));
    expect(found).toHaveLength(lists);
  });

  test.each([
    '{"segments":[[0,0,01]]}',
    '{"segments":[[0,0,1],]}',
    '{"segments":[[0,0,1,]]}',
    '{"segments":[,[0,0,1]]}',
    '{"segments":[[0,0 0,1]]}',
    '{"segments":[[0,0,1][0,0,1]]}',
    '{"segments":[[0,0,1]0]}',
    '{"segments":[[0,0,1]',
    '{"segments":[[0,0,1',
    '{"segments":[[0,0,1]]',
    '{"a"segments":[[0,0,1]]}',
    '{"segments"',
  ])("%s is no JSON", (text) => {
    expect(() => read(text)).toThrow(SyntaxError);
  });

  test("are written as JSON has them", () => {
    const lists = [
      [],
      [[0, 0, 1]],
      [
        [12, 9, 10],
        [0, 99, 100],
        [1_000_000, 9007199254740991, 7],
      ],
    ] as const;
    const bytes = withSegmentTexts((standIn) =>
      bytesOf(withLists((index) => standIn(Segments.of(lists[index])))),
    );
    expect(textOf(bytes)).toBe(JSON.stringify(withLists((index) => lists[index])));
  });
});
