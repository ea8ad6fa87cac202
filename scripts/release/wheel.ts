import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zip } from "./archive.ts";
import type { Product } from "./documents.ts";
import { executableName, type Target } from "./targets.ts";

/**
 * Writes the wheel of a platform, whose binary lies in the directory `stage`. pip puts what is in `.data/scripts`
 * beside Python itself: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
 */
export async function writeWheel(
  out: string,
  product: Product,
  target: Target,
  { stage, level }: { stage: string; level: number },
): Promise<void> {
  if (target.wheel === undefined) return;
  const base = `${product.name}-${product.version}`;
  const info = `${base}.dist-info`;
  const tag = `py3-none-${target.wheel}`;
  const staged = async (name: string) => new Uint8Array(await readFile(join(stage, name)));
  const executable = `${base}.data/scripts/${executableName(target)}`;
  const files: Record<string, Uint8Array> = {
    [executable]: await staged(executableName(target)),
    [`${info}/METADATA`]: text([
      "Metadata-Version: 2.4",
      `Name: ${product.name}`,
      `Version: ${product.version}`,
      "Summary: Moves model weights through any OCI registry",
      `License-Expression: ${product.license}`,
      "License-File: LICENSE",
      "License-File: THIRD-PARTY-NOTICES.txt",
      "Project-URL: Source, https://github.com/ocibundle/ocibundle",
      "Requires-Python: >=3.8",
    ]),
    [`${info}/WHEEL`]: text([
      "Wheel-Version: 1.0",
      "Generator: ocibundle",
      "Root-Is-Purelib: false",
      `Tag: ${tag}`,
    ]),
    [`${info}/licenses/LICENSE`]: await staged("LICENSE"),
    [`${info}/licenses/THIRD-PARTY-NOTICES.txt`]: await staged("THIRD-PARTY-NOTICES.txt"),
  };
  const record = Object.entries(files).map(([name, bytes]) => {
    const digest = createHash("sha256").update(bytes).digest("base64url");
    return `${name},sha256=${digest},${bytes.length}`;
  });
  files[`${info}/RECORD`] = text([...record, `${info}/RECORD,,`]);
  const entries = Object.entries(files).map(([name, bytes]) => ({
    name,
    bytes,
    executable: name === executable,
  }));
  await writeFile(join(out, `${base}-${tag}.whl`), await zip(entries, product.time, level));
}

function text(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(`${lines.join("\n")}\n`);
}
