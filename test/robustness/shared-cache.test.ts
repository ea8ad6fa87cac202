import { describe, expect, test } from "bun:test";
import {
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  compressibleBytes,
  openBench,
  randomBytes,
  sameBytes,
} from "../support/attacks/program-run.ts";
import { hasWeights } from "../support/attacks/expect-run.ts";

const MiB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;
const nobody = 65534;

const model = makeModel([
  { name: "large", bytes: compressibleBytes(3 * MiB, 1) },
  { name: "small", bytes: randomBytes(1000, 2) },
]);

/** Puts a blob and its record into a cache, as another user would who may write there. */
function plant({ cache }: Bench, bytes: Uint8Array, content: Uint8Array): string {
  const digest = digestOf(bytes);
  const hex = digest.slice("sha256:".length);
  const blob = join(cache, "blobs/sha256", hex);
  const record = join(cache, "records/blobs", `sha256-${hex}`);
  for (const path of [blob, record]) mkdirSync(dirname(path), { recursive: true });
  writeFileSync(blob, content, { mode: 0o444 });
  utimesSync(blob, 1_700_000_000, 1_700_000_000);
  const entry = { digest, size: bytes.length, modified: 1_700_000_000_000, names: [], origins: [] };
  writeFileSync(record, JSON.stringify(entry));
  for (const path of [blob, record]) chownSync(path, nobody, nobody);
  return blob;
}

describe.skipIf(!isRoot)("what another user put into the cache (needs root)", () => {
  test("is read before it is used, and fetched where it is wrong", async () => {
    await using server = await serveModel(model);
    using bench = openBench("shared");
    for (const { bytes } of model.weights) {
      plant(bench, bytes, randomBytes(bytes.length, 9));
    }
    const { code, stderr } = await bench.run(["pull", server.reference, "-o", "models"]);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(hasWeights(bench.path("models"), model)).toBe(true);
    for (const { bytes } of model.weights) {
      const hex = digestOf(bytes).slice("sha256:".length);
      expect(sameBytes(join(bench.cache, "blobs/sha256", hex), bytes)).toBe(true);
    }
  });

  test("is copied where it is right: its owner can't change the copy", async () => {
    await using server = await serveModel(model);
    using bench = openBench("shared");
    const planted = model.weights.map(({ bytes }) => plant(bench, bytes, bytes));
    expect((await bench.run(["pull", server.reference, "-o", "models"])).code).toBe(0);
    expect(server.bytesAsked()).toBe(0);
    expect(hasWeights(bench.path("models"), model)).toBe(true);
    for (const { dest } of model.weights) {
      const stats = lstatSync(bench.path("models", dest));
      expect({ uid: stats.uid, links: stats.nlink }).toEqual({ uid: 0, links: 1 });
    }
    for (const path of planted) expect(statSync(path).nlink).toBe(1);
  });

  test("is not taken for a file that is there because the two are one file", async () => {
    await using server = await serveModel(model);
    using bench = openBench("shared");
    const [large] = model.weights;
    if (large === undefined) throw new TypeError("the model has weights");
    const planted = plant(bench, large.bytes, randomBytes(large.bytes.length, 9));
    const target = bench.path("models", large.dest);
    mkdirSync(dirname(target), { recursive: true });
    linkSync(planted, target);
    const args = ["pull", server.reference, "-o", "models"];
    const { code, stderr } = await bench.run(args);
    expect(code).not.toBe(0);
    expect(stderr).toContain("exists with different content");
    expect((await bench.run([...args, "--force"])).code).toBe(0);
    expect(hasWeights(bench.path("models"), model)).toBe(true);
  });

  test("a part of another user's is not gone on with", async () => {
    await using server = await serveModel(model, () => ({ stallAfter: MiB }));
    using bench = openBench("shared");
    const first = bench.start(["pull", server.reference, "-o", "models"]);
    await server.sent(MiB / 2);
    first.kill("SIGKILL");
    await first.ended;
    const temp = join(bench.cache, "tmp");
    for (const name of readdirSync(temp)) chownSync(join(temp, name), nobody, nobody);
    await using whole = await serveModel(model);
    expect((await bench.run(["pull", whole.reference, "-o", "models"])).code).toBe(0);
    expect(whole.bytesAsked()).toBeGreaterThanOrEqual(model.size);
    expect(hasWeights(bench.path("models"), model)).toBe(true);
  });
});

/** What the world may write below a directory. */
function writableByAll(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).filter(
    (name) => (lstatSync(join(directory, name)).mode & 0o002) !== 0,
  );
}

describe("with umask 000", () => {
  const open = ["sh", "-c", 'umask 000; exec "$@"', "sh"];

  test("nothing in the cache can be written by all", async () => {
    await using server = await serveModel(model);
    using bench = openBench("umask");
    const { code } = await bench.runUnder(open, ["pull", server.reference, "-o", "models"]);
    expect(code).toBe(0);
    expect(writableByAll(bench.cache)).toEqual([]);
    writeFileSync(bench.path("a.bin"), randomBytes(1000, 3));
    expect((await bench.runUnder(open, ["lock", "a.bin"])).code).toBe(0);
    expect(readFileSync(bench.path("weights.lock"), "utf8")).toContain("a.bin");
    expect(writableByAll(bench.cache)).toEqual([]);
  });

  test("pulled files have the permissions that the umask says, with and without the cache", async () => {
    await using server = await serveModel(model);
    using bench = openBench("umask");
    const args = ["pull", server.reference, "-o", "models", "--no-cache"];
    expect((await bench.runUnder(open, args)).code).toBe(0);
    for (const { dest } of model.weights) {
      expect(statSync(bench.path("models", dest)).mode & 0o777).toBe(0o666);
    }
  });
});
