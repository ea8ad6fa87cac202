import { expect, test } from "bun:test";
import { readdir, rm, writeFile } from "node:fs/promises";
import { growInPlace } from "../../../../src/model/pull/fetch-in-place.ts";
import type { FetchContext } from "../../../../src/model/pull/pull-context.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { entry } from "../../../support/model/fixtures.ts";

test("who does not have the directory alone leaves nothing of a file that failed to grow", async () => {
  const root = await temporaryDirectory();
  const context = {
    root,
    alone: false,
    session: { signal: new AbortController().signal },
  } as unknown as FetchContext;
  const file = { entry: entry("a"), parts: ["src", "a"], path: `${root}/src/a` };
  const growing = growInPlace([file], context, {
    placesIn(directory, own) {
      expect(own).not.toBe("a");
      const whole = directory.at(".growing");
      return { whole, place: { partial: whole, journal: `${whole}.journal` } };
    },
    async grow({ whole }) {
      for (const suffix of ["", ".journal", ".part"]) await writeFile(whole + suffix, "some");
      throw new Error("the network is gone");
    },
    clean: ({ whole }) => rm(`${whole}.part`),
  });
  await expect(growing).rejects.toThrow("the network is gone");
  expect(await readdir(`${root}/src`)).toEqual([]);
});
