import { describe, expect } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findPart } from "../../scripts/parts.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Building cosign takes minutes, so this is no part of every run: `scripts/nightly.sh cosign`. */

const { makeDirectory, ocibundle, run, shared } = workbench();
const env = { COSIGN_PASSWORD: "secret" };
const forms = { bundle: "true", tag: "false" } as const;
type Form = keyof typeof forms;

const cosign = (cwd: string, args: readonly string[]): Promise<string> =>
  run([findPart("cosign") ?? "cosign", ...args], { cwd, env });

const cosignVerifies = (cwd: string, reference: string, key: string, form: Form) =>
  cosign(cwd, [
    "verify",
    `--key=${key}`,
    "--insecure-ignore-tlog",
    `--new-bundle-format=${forms[form]}`,
    reference,
  ]);

const cosignSigns = (cwd: string, reference: string, key: string, form: Form) =>
  cosign(cwd, [
    "sign",
    "--yes",
    `--key=${key}`,
    "--tlog-upload=false",
    "--use-signing-config=false",
    `--new-bundle-format=${forms[form]}`,
    reference,
  ]);

/** A bundle under a tag; the references of its index, its weights and its image by digest. */
async function pushBundle(cwd: string, repository: string): Promise<string[]> {
  await writeSampleImage(join(cwd, "image"), "v1", sampleLayers("print(1)\n"), {});
  await writeFile(join(cwd, "model.bin"), "the bytes of the weights");
  const reference = `${repository}:v1`;
  await ocibundle(["push", reference, "model.bin", "--no-lock", "--image", "oci:image:v1"], {
    cwd,
  });
  const text = await ocibundle(["inspect", reference, "--json"]);
  const { digest, images, weights } = JSON.parse(text) as {
    digest: string;
    images: { digest: string }[];
    weights: { digest: string };
  };
  return [digest, weights.digest, images[0]?.digest ?? ""].map((one) => `${repository}@${one}`);
}

describe.each(realRegistries)("cosign and ocibundle at $name", ({ parts, start }) => {
  const registry = shared(start);

  testWith([...parts, "cosign"], "verify what the other has signed, in both forms", async () => {
    const { address } = await registry();
    const cwd = await makeDirectory("signed");
    await cosign(cwd, ["generate-key-pair", "--output-key-prefix=theirs"]);
    await ocibundle(["generate-key-pair", "--output-key-prefix", "ours"], { cwd, env });
    const references = await pushBundle(cwd, `${address}/acme/signed`);
    const [index = ""] = references;
    // Each signs with the key that the other made.
    const sign = ["sign", index, "--key", "theirs.key", "--format", "both", "--recursive"];
    await ocibundle(sign, { cwd, env });
    for (const reference of references) {
      for (const form of ["bundle", "tag"] as const) {
        await cosignSigns(cwd, reference, "ours.key", form);
        expect(await cosignVerifies(cwd, reference, "ours.pub", form)).toContain("critical");
        expect(await cosignVerifies(cwd, reference, "theirs.pub", form)).toContain("critical");
      }
      for (const key of ["ours.pub", "theirs.pub"]) {
        const verify = ["verify", reference, "--signature", "--key", key];
        expect(await ocibundle(verify, { cwd })).toContain("OK: 2 of 4 signatures valid");
      }
    }
    const pull = ["pull", index, "out", "--require-signature", "ours.pub"];
    await ocibundle(pull, { cwd });
  });
});

describe("keys of other kinds", () => {
  const registry = shared(realRegistries[0]?.start ?? (() => Promise.reject(new Error("none"))));

  testWith(
    ["cosign"],
    "are read as cosign keeps them, and what they sign is verified",
    async () => {
      const { address } = await registry();
      const cwd = await makeDirectory("kinds");
      const kinds = {
        p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
        rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
        ed25519: generateKeyPairSync("ed25519"),
      };
      for (const [name, { privateKey }] of Object.entries(kinds)) {
        await writeFile(join(cwd, name), privateKey.export({ type: "pkcs8", format: "pem" }));
        await cosign(cwd, ["import-key-pair", `--key=${name}`, `--output-key-prefix=${name}`]);
        const [reference = ""] = await pushBundle(
          await makeDirectory(name),
          `${address}/acme/${name}`,
        );
        const sign = ["sign", reference, "--key", `${name}.key`, "--format", "both"];
        await ocibundle(sign, { cwd, env });
        const hash = name === "p384" ? ["--signature-digest-algorithm=sha384"] : [];
        const key = [`--key=${name}.pub`, "--insecure-ignore-tlog"];
        for (const form of Object.values(forms)) {
          const args = ["verify", ...key, ...hash, `--new-bundle-format=${form}`, reference];
          expect(await cosign(cwd, args)).toContain("critical");
        }
        if (name === "ed25519") continue;
        // Both forms by cosign, each made once more by the same key.
        for (const form of ["bundle", "tag"] as const) {
          await cosignSigns(cwd, reference, `${name}.key`, form);
        }
        const verify = ["verify", reference, "--signature", "--key", `${name}.pub`, "--json"];
        const { signatures } = JSON.parse(await ocibundle(verify, { cwd })) as {
          signatures: { valid: boolean }[];
        };
        expect(signatures.length).toBeGreaterThan(2);
        expect(signatures.every(({ valid }) => valid)).toBe(true);
      }
    },
  );
});
