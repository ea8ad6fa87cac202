import { describe, expect, test } from "bun:test";
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import { type Bench, openBench, randomBytes } from "../support/attacks/program-run.ts";
import { succeeds } from "../support/succeeds.ts";

const model = makeModel([{ name: "a", bytes: randomBytes(2000, 1) }]);

/** What a user can name as a target that is no regular file. */
const kinds = {
  "a FIFO": (path: string) => succeeds("mkfifo", path),
  "a device": (path: string) => succeeds("mknod", path, "c", "1", "3"),
} as const;
const canMakeDevices = ((): boolean => {
  using bench = openBench("devices");
  return kinds["a device"](bench.path("null"));
})();

const kindOf = (path: string): "FIFO" | "device" | "other" => {
  const stats = lstatSync(path);
  return stats.isFIFO() ? "FIFO" : stats.isCharacterDevice() ? "device" : "other";
};

const jobs: Record<string, (bench: Bench, reference: string, target: string) => string[]> = {
  "copy to an archive": (_bench, reference, target) => ["copy", reference, `oci-archive:${target}`],
  "copy to a layout": (_bench, reference, target) => ["copy", reference, `oci:${target}`],
  "copy to a link to it": (bench, reference, target) => {
    symlinkSync(target, bench.path("link.tar"));
    return ["copy", reference, "oci-archive:link.tar"];
  },
  "copy to a layout with it as index.json": (bench, reference, target) => {
    mkdirSync(bench.path("layout"));
    writeFileSync(bench.path("layout/oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    symlinkSync(target, bench.path("layout/index.json"));
    return ["copy", reference, "oci:layout:v1"];
  },
  "pull over it": (bench, reference, target) => {
    mkdirSync(bench.path("models/src/weights"), { recursive: true });
    expect(succeeds("cp", "-a", target, bench.path("models/src/weights/a"))).toBe(true);
    return ["pull", reference, "-o", "models", "--force"];
  },
};

for (const [kind, create] of Object.entries(kinds)) {
  describe.skipIf(kind === "a device" && !canMakeDevices)(`${kind} as a target`, () => {
    for (const [job, prepare] of Object.entries(jobs)) {
      test(`is refused and stays what it is: ${job}`, async () => {
        await using server = await serveModel(model);
        using bench = openBench("devices");
        const target = bench.path("target");
        expect(create(target)).toBe(true);
        const { code, stderr } = await bench.run(prepare(bench, server.reference, target));
        expect([2, 8]).toContain(code ?? 0);
        expect(stderr).toMatch(/^error: /m);
        expect(kindOf(target)).toBe(kind === "a FIFO" ? "FIFO" : "device");
      });
    }

    test("is what a lock is written to", async () => {
      using bench = openBench("devices");
      const target = bench.path("target");
      expect(create(target)).toBe(true);
      writeFileSync(bench.path("a.bin"), "weights");
      const reader = kind === "a FIFO" ? Bun.spawn(["cat", target], { stdout: "pipe" }) : undefined;
      const { code, stderr } = await bench.run(["lock", "a.bin", "-o", target]);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(kindOf(target)).toBe(kind === "a FIFO" ? "FIFO" : "device");
      if (reader !== undefined) {
        expect(await new Response(reader.stdout).text()).toContain('"dest": "/src/weights/a.bin"');
      }
    });
  });
}

test("a link to an archive stays a link, and a directory in its place is refused", async () => {
  await using server = await serveModel(model);
  using bench = openBench("devices");
  writeFileSync(bench.path("archive.tar"), "");
  symlinkSync("archive.tar", bench.path("link.tar"));
  const { code } = await bench.run(["copy", server.reference, "oci-archive:link.tar"]);
  expect(code).toBe(0);
  expect(realpathSync(bench.path("link.tar"))).toBe(bench.path("archive.tar"));
  expect(readFileSync(bench.path("archive.tar")).length).toBeGreaterThan(2000);
  mkdirSync(bench.path("directory"));
  const refused = await bench.run(["copy", server.reference, "oci-archive:directory"]);
  expect([2, 8]).toContain(refused.code ?? 0);
  expect(refused.stderr).toContain("is a directory, not an archive");
});
