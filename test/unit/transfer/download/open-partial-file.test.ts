import { expect, test } from "bun:test";
import { join } from "node:path";
import { openPartialFile } from "../../../../src/transfer/download/open-partial-file.ts";
import { failureOf } from "../../../support/failure.ts";
import { digest } from "../../../support/model/fixtures.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

test.each([2 ** 53 - 1, 2 ** 52])("a file of %d bytes is too large", async (size) => {
  const partial = join(await temporaryDirectory(), "partial");
  const place = { partial, journal: `${partial}.journal` };
  const blob = { mediaType: "", digest: digest("a"), size };
  const error = await failureOf(openPartialFile(place, blob));
  expect(error.code).toBe("system");
  expect(error.message).toContain("partial");
  expect(error.message).toContain("too large");
});
