import { expect } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findLibrary } from "../../scripts/parts.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** What OpenSSF's model_signing signs, verified here. Nightly: its libraries take half a minute to install. */
const { makeDirectory, ocibundle, run } = workbench();
const library = "model_signing-1.1.1";

/** A directory with a model, a key pair, and the signature of that program. */
async function signed(namedCurve: string, flags: readonly string[] = []): Promise<string> {
  const cwd = await makeDirectory("signed");
  mkdirSync(join(cwd, "model/sub"), { recursive: true });
  writeFileSync(join(cwd, "model/a.bin"), "a".repeat(3_000_000));
  writeFileSync(join(cwd, "model/sub/b.bin"), "");
  writeFileSync(join(cwd, "model/übung 1.txt"), "names are bytes too");
  writeFileSync(join(cwd, "model/.gitattributes"), "not signed");
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
  writeFileSync(join(cwd, "key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(join(cwd, "key.pub"), publicKey.export({ type: "spki", format: "pem" }));
  if (flags.includes("--allow_symlinks")) {
    renameSync(join(cwd, "model/a.bin"), join(cwd, "blob"));
    symlinkSync("../blob", join(cwd, "model/a.bin"));
  }
  const env = { PYTHONPATH: findLibrary(library) ?? "", PYTHONDONTWRITEBYTECODE: "1" };
  const sign = ["python3", "-m", "model_signing", "sign", "key", "model", ...flags];
  await run([...sign, "--signature", "model.sig", "--private_key", "key.pem"], { cwd, env });
  return cwd;
}

const verify = (cwd: string): Promise<string> =>
  ocibundle(["verify", "model", "--model-signature", "model.sig", "--key", "key.pub"], { cwd });

for (const curve of ["P-256", "P-384", "P-521"]) {
  testWith([library], `model_signing's signature with ${curve} is verified`, async () => {
    const cwd = await signed(curve);
    expect(await verify(cwd)).toStartWith("OK: 3 files verified");
    writeFileSync(join(cwd, "model/sub/b.bin"), "x");
    await expect(verify(cwd)).rejects.toThrow(/differs .*b\.bin/);
  });
}

testWith([library], "model_signing's signature over links is verified", async () => {
  const cwd = await signed("P-256", ["--allow_symlinks", "--no-ignore-git-paths"]);
  expect(await verify(cwd)).toStartWith("OK: 4 files verified");
});
