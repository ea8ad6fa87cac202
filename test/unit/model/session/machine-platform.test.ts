import { expect, test } from "bun:test";
import { machinePlatform } from "../../../../src/model/session/machine-platform.ts";

test("architectures have the names that images are told apart by", () => {
  for (const [arch, architecture] of [
    ["x64", "amd64"],
    ["arm64", "arm64"],
    ["ia32", "386"],
    ["riscv64", "riscv64"],
    ["toString", "toString"],
  ]) {
    expect(machinePlatform(arch)).toEqual({ os: "linux", architecture: architecture ?? "" });
  }
  expect(machinePlatform().os).toBe("linux");
});
