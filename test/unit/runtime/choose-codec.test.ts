import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chooseCodec } from "../../../src/runtime/choose-codec.ts";
import { noise, weights } from "../../support/model/parts-artifact.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const contents = {
  "numbers of two bytes": [weights(300_000, 1), "bp2.zstd"],
  "numbers of four bytes": [weights(300_000, 2, 4), "bp4.zstd"],
  text: [new TextEncoder().encode('{"a.weight":[1,2]},'.repeat(2000)), "zstd"],
  zeros: [new Uint8Array(100_000), "zstd"],
  noise: [noise(300_000, 3), "none"],
  "a few numbers": [weights(4000, 4), "none"],
} as const;

for (const [name, [bytes, expected]] of Object.entries(contents)) {
  test(`${name}: ${expected}`, async () => {
    const path = join(await temporaryDirectory(), "file");
    // A part begins anywhere in its file.
    await writeFile(path, Buffer.concat([noise(777, 9), bytes, noise(100, 8)]));
    expect(chooseCodec({ path, start: 777, end: 777 + bytes.length }, 0.1)).toBe(expected);
    expect(chooseCodec({ path, start: 777, end: 777 + bytes.length }, 1)).toBe("none");
  });
}
