import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openWrongFiles } from "../../../../src/model/serve/wrong-files.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { openCache } from "../../../../src/store/cache/cache.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const digest = digestOf("wrong");

async function emptyCache() {
  const cwd = await temporaryDirectory();
  return openCache({ cwd, env: { OCIBUNDLE_CACHE: join(cwd, "cache") } });
}

test("which files had wrong content is known to the next server", async () => {
  const cache = await emptyCache();
  const first = await openWrongFiles(cache, () => undefined);
  expect(first.has(digest)).toBe(false);
  await first.add(digest);
  const events: TransferEvent[] = [];
  const next = await openWrongFiles(cache, (event) => events.push(event));
  expect(next.has(digest)).toBe(true);
  expect(events).toEqual([]);
});

test("notes that can't be read are told of, and not taken for none", async () => {
  const cache = await emptyCache();
  await mkdir(join(cache.recordsDir, "serve"), { recursive: true });
  await writeFile(join(cache.recordsDir, "serve", "wrong"), "");
  const events: TransferEvent[] = [];
  await openWrongFiles(cache, (event) => events.push(event));
  expect(events).toEqual([{ type: "warning", message: expect.stringContaining("serve/wrong") }]);
});
