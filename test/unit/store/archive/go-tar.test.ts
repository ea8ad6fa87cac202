import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { goTarHeader, parentDirectories } from "../../../../src/store/archive/go-tar.ts";
import { paddingAfter } from "../../../../src/store/archive/header.ts";

/** An archive of files with the same content, and the directories above them. */
function archive(paths: readonly string[], content: string): Buffer {
  const parts: Uint8Array[] = parentDirectories(paths).map((name) =>
    goTarHeader({ name, size: 0 }),
  );
  for (const name of paths) {
    parts.push(goTarHeader({ name, size: content.length }), Buffer.from(content));
    parts.push(Buffer.alloc(paddingAfter(content.length)));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

test.each([
  [["config.json"], 3072, "8de83804f71388dd58b0617f12dc584cfa66c5bef91f71fdc5d96cac493b7dd5"],
  [["sub/config.json"], 4608, "aa8b04efc990fda0b204f9de4e95f75ba3b5bf46e571d730944079fbb47d7348"],
  [
    [`d/${"n".repeat(120)}.bin`],
    4608,
    "60c8068afff70df4b16350b1a31671893c9f1e2f0d3e7c9a9d55e157ae6c3446",
  ],
  [["a/b/ü-模型.bin"], 6144, "5ab84f22500d19876e2ccec0285948d2cbd8d25af36adb91abf26a3d11af1d0b"],
  [["x".repeat(100)], 3072, "0299e0b85f7adde6c1380ae70c9e2e4f726c1bbf25436ed440a4559be1b5716c"],
])("the archive of %j has %d bytes and the digest that Go's would have", (paths, size, hex) => {
  const bytes = archive(paths, "{}\n");
  expect(bytes.byteLength).toBe(size);
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(hex);
});

test.each([
  ["x", 8589934592, "9beb24da557d96f11bfb7f41aaafc0af90e2df59b541e7baaffc0bfa87e1b573"],
  ["x", 8589934591, "1bda67929c1e715c9a28162704bf4a8c8369dca56927eff1593936d9867383a1"],
])("the header of %s with %d bytes is Go's", (name, size, hex) => {
  const bytes = goTarHeader({ name, size });
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(hex);
});

test("a size over 8 GiB is in the records, and the field is zero", () => {
  const bytes = Buffer.from(goTarHeader({ name: "x", size: 8 ** 11 }));
  expect(bytes.subarray(512, 1024).toString("latin1")).toStartWith(
    "11 atime=0\n11 ctime=0\n19 size=8589934592\n",
  );
  expect(bytes.subarray(1024 + 124, 1024 + 136).toString("latin1")).toBe("00000000000\0");
});
