import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { manifestMemory } from "../../../../src/model/serve/kept-manifests.ts";
import { keepServed } from "../../../../src/model/serve/kept-served.ts";
import type { Served } from "../../../../src/model/serve/snapshot.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const served = (commit: string, count: number): Served =>
  ({ commit, files: Array.from({ length: count }, () => ({})) }) as unknown as Served;

test("what was used last of all models is kept, by the number of its files", () => {
  const kept = keepServed(300);
  for (const commit of ["a", "b", "c"]) kept.keep("acme/llama", served(commit, 80));
  expect(kept.find("acme/llama", "a")?.commit).toBe("a");
  kept.keep("acme/other", served("a", 80));
  const left = ["a", "b", "c"].filter((commit) => kept.find("acme/llama", commit) !== undefined);
  expect(left).toEqual(["a", "c"]);
  kept.keep("acme/large", served("d", 10_000));
  expect(kept.find("acme/large", "d")?.files).toHaveLength(10_000);
  expect(kept.find("acme/llama", "c")).toBeUndefined();
});

const commitOf = (digest: string): string => digest.slice(7, 47);

test("records of a server are swept while it runs", async () => {
  const cache = cacheAt(await temporaryDirectory());
  const limits = { records: 5, bytes: 10_000, sweptEvery: 10 };
  const memory = manifestMemory(cache, limits);
  const digests = Array.from({ length: 40 }, (_, at) => digestOf(Buffer.from(String(at))));
  for (const digest of digests) await memory.noteCommit("acme/llama", commitOf(digest), digest);
  const last = digests.at(-1) ?? "sha256:";
  expect(readdirSync(join(cache.recordsDir, "serve", "commits"))).toHaveLength(5);
  expect(await memory.findCommit("acme/llama", commitOf(last))).toBe(last);
});
