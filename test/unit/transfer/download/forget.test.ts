import { expect, test } from "bun:test";
import { join } from "node:path";
import { openPartialFile } from "../../../../src/transfer/download/open-partial-file.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { digest } from "../../../support/model/fixtures.ts";

const count = 4000;

test("a part with many places is forgotten at once, and is missing for the next run", async () => {
  const partial = join(await temporaryDirectory(), "file");
  const place = { partial, journal: `${partial}.journal` };
  const blob = { mediaType: "", digest: digest("a"), size: 2 * count };
  const file = await openPartialFile(place, blob);
  file.note({ start: 0, end: 2 * count });
  // Each leaves one range more, all of which the journal has.
  file.forget(Array.from({ length: count }, (_, at) => ({ start: 2 * at, end: 2 * at + 1 })));
  expect(file.written.bytes).toBe(count);
  await file.close();
  const next = await openPartialFile(place, blob);
  expect(next.resumed).toBe(count);
  expect(next.missing({ start: 0, end: 3 })).toEqual([
    { start: 0, end: 1 },
    { start: 2, end: 3 },
  ]);
  await next.close();
});
