/**
 * What the tests of the cache run in another process, to be waited for or killed:
 *
 *     lock PATH shared|exclusive     prints "locked", holds it until stdin ends
 *     count PATH FILE TIMES          adds one to the number in FILE, that often, PATH locked each time
 *     obtain ROOT OUT SEED           obtains and materialises the blobs of `childBlobs(SEED)`, with pauses
 *     once ROOT LOG                  obtains one blob slowly, notes in LOG that it fetches
 *     use ROOT DIGEST SIZE           prints "found" or "missing"
 */
import { appendFile, open, readFile, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { cacheAt } from "../../../src/store/cache/cache.ts";
import { obtainBlob, requireBlob } from "../../../src/store/cache/obtain.ts";
import { lockFile } from "../../../src/store/locks/wait-for-lock.ts";
import { materialize } from "../../../src/store/placement/materialize.ts";
import { openTargetDirectory } from "../../../src/store/placement/target-directory.ts";

const pieceBytes = 32 * 1024;
const { signal } = new AbortController();

/** Bytes that depend on the seed alone. */
function seededBytes(seed: number, size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 2654435761 + 1;
  for (let index = 0; index < words.length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, size);
}

export const childBlobs = (seed: number) =>
  [0, 1, 2].map((index) => {
    const bytes = seededBytes(seed * 10 + index, 150_000 + index * 50_000);
    return { name: `weight-${index}`, bytes, digest: digestOf(bytes), size: bytes.byteLength };
  });

/** Goes on after what an earlier run has written. */
async function writeOn(path: string, bytes: Uint8Array): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const file = await open(path, there === undefined ? "wx" : "r+");
  try {
    for (let start = there?.size ?? 0; start < bytes.byteLength; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes);
      await file.write(piece, 0, piece.byteLength, start);
      await sleep(1);
    }
  } finally {
    await file.close();
  }
}

async function obtainAll(root: string, out: string, seed: number): Promise<void> {
  const cache = cacheAt(root);
  const directory = await openTargetDirectory(out, ["weights"]);
  for (const [index, { name, bytes, digest, size }] of childBlobs(seed).entries()) {
    const blob = requireBlob(
      await obtainBlob(
        cache,
        { digest, size },
        {
          signal,
          use: { name, origin: "test" },
          fetch: async (path, journal) => {
            await writeFile(journal, "half");
            await writeOn(path, bytes);
          },
        },
      ),
    );
    await materialize(blob.path, directory, name, {
      signal,
      replace: true,
      ways: index === 0 ? ["hard link", "copy"] : ["copy"],
    });
    blob.release();
  }
  const made = seededBytes(seed * 10 + 9, 100_000);
  if (!(await cache.has({ digest: digestOf(made), size: made.byteLength }))) {
    const temp = await cache.tempPath("made");
    await writeOn(temp, made);
    await cache.putFile(temp, digestOf(made), made.byteLength);
  }
  await directory.close();
}

async function main([action, first = "", second = "", third = ""]: string[]): Promise<void> {
  switch (action) {
    case "lock": {
      const lock = await lockFile(first, { signal, shared: second === "shared" });
      process.stdout.write("locked\n");
      for await (const _ of process.stdin);
      lock.release();
      return;
    }
    case "count":
      for (let times = Number(third); times > 0; times -= 1) {
        const lock = await lockFile(first, { signal });
        const count = Number(await readFile(second, "utf8"));
        await writeFile(second, String(count + 1));
        lock.release();
      }
      return;
    case "obtain":
      process.stdout.write("started\n");
      return obtainAll(first, second, Number(third));
    case "once": {
      const bytes = seededBytes(1, 200_000);
      const blob = requireBlob(
        await obtainBlob(
          cacheAt(first),
          { digest: digestOf(bytes), size: bytes.byteLength },
          {
            signal,
            fetch: async (path) => {
              await appendFile(second, "fetch\n");
              await writeOn(path, bytes);
            },
          },
        ),
      );
      process.stdout.write(blob.outcome);
      blob.release();
      return;
    }
    case "use": {
      const found = await cacheAt(first).has({ digest: second as Digest, size: Number(third) });
      process.stdout.write(found ? "found" : "missing");
      return;
    }
    default:
      throw new Error(`no such action: ${action}`);
  }
}

if (import.meta.main) await main(process.argv.slice(2));
